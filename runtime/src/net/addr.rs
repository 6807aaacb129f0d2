//! Socket addresses from what people write: numbers are parsed in place, names go to the resolver in the
//! blocking pool.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::task::spawn_blocking;

/// What can be turned into socket addresses.
///
/// Implemented for the address types of `std::net`, for slices of them, and for text: `"127.0.0.1:80"`,
/// `"localhost:80"`, `("localhost", 80)`. Only a name costs a trip to the blocking pool, where the system's
/// resolver works on it. Cannot be implemented outside of this crate.
pub trait ToSocketAddrs: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToSocketAddrs for T {}

mod sealed {
    use super::Target;

    pub trait Resolve {
        #[doc(hidden)]
        fn target(&self) -> Target;
    }
}

/// What was asked for.
#[derive(Debug)]
#[doc(hidden)]
pub enum Target {
    Addresses(Vec<SocketAddr>),
    Name(String, u16),
    Invalid(&'static str),
}

/// Looks a host up; `addr` needs a port, as in `"localhost:0"`.
///
/// # Errors
/// When the text is no address, or the resolver knows no such name.
///
/// # Panics
/// When it is polled outside of a runtime and has a name to look up.
///
/// # Cancel safety
/// Giving up the wait loses the answer only; a look-up that has begun ends on its thread.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// for address in crossover_runtime::net::lookup_host("localhost:80").await? {
///     assert!(address.ip().is_loopback());
/// }
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn lookup_host<A: ToSocketAddrs>(addr: A) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(resolve(addr).await?.into_iter())
}

/// At least one address, or an error.
pub(super) async fn resolve<A: ToSocketAddrs>(addr: A) -> io::Result<Vec<SocketAddr>> {
    let target = addr.target();
    let addresses = match target {
        Target::Addresses(addresses) => addresses,
        Target::Invalid(reason) => return Err(io::Error::new(io::ErrorKind::InvalidInput, reason)),
        Target::Name(host, port) => {
            let lookup = move || {
                std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))
                    .map(|addresses| addresses.collect())
            };
            spawn_blocking(lookup).await.map_err(io::Error::other)??
        }
    };
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address"));
    }
    Ok(addresses)
}

/// Tries one address after the other; the last error is the one that is reported.
pub(super) fn first_that_works<T>(
    addresses: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses {
        match attempt(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
}

macro_rules! numeric {
    ($($addr:ty),+) => {
        $(impl sealed::Resolve for $addr {
            fn target(&self) -> Target {
                Target::Addresses(vec![SocketAddr::from(*self)])
            }
        })+
    };
}

numeric!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl sealed::Resolve for [SocketAddr] {
    fn target(&self) -> Target {
        Target::Addresses(self.to_vec())
    }
}

impl sealed::Resolve for Vec<SocketAddr> {
    fn target(&self) -> Target {
        Target::Addresses(self.clone())
    }
}

impl<const N: usize> sealed::Resolve for [SocketAddr; N] {
    fn target(&self) -> Target {
        Target::Addresses(self.to_vec())
    }
}

impl sealed::Resolve for str {
    fn target(&self) -> Target {
        if let Ok(address) = self.parse() {
            return Target::Addresses(vec![address]);
        }
        let Some((host, port)) = self.rsplit_once(':') else {
            return Target::Invalid("invalid socket address: it has no port");
        };
        match port.parse() {
            Ok(port) => Target::Name(host.to_owned(), port),
            Err(_) => Target::Invalid("invalid port value: it must be a number from 0 to 65535"),
        }
    }
}

impl sealed::Resolve for String {
    fn target(&self) -> Target {
        self.as_str().target()
    }
}

impl sealed::Resolve for (&str, u16) {
    fn target(&self) -> Target {
        match self.0.parse::<IpAddr>() {
            Ok(address) => Target::Addresses(vec![(address, self.1).into()]),
            Err(_) => Target::Name(self.0.to_owned(), self.1),
        }
    }
}

impl sealed::Resolve for (String, u16) {
    fn target(&self) -> Target {
        (self.0.as_str(), self.1).target()
    }
}

impl<T: sealed::Resolve + ?Sized> sealed::Resolve for &T {
    fn target(&self) -> Target {
        (**self).target()
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Resolve;
    use super::*;

    #[test]
    fn numbers_need_no_resolver_and_names_do() {
        let local: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        assert!(matches!("127.0.0.1:80".target(), Target::Addresses(found) if found == [local]));
        assert!(matches!("[::1]:80".to_string().target(), Target::Addresses(_)));
        assert!(matches!(("::1", 80).target(), Target::Addresses(_)));
        assert!(matches!([local, local][..].target(), Target::Addresses(found) if found.len() == 2));
        assert!(matches!("localhost:80".target(), Target::Name(host, 80) if host == "localhost"));
        assert!(matches!(("localhost", 80).target(), Target::Name(..)));
        assert!(matches!("localhost".target(), Target::Invalid(_)));
        assert!(matches!("localhost:http".target(), Target::Invalid(_)));
        assert!(matches!("localhost:65536".target(), Target::Invalid(_)));
    }
}

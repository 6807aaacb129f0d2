//! `unix::SocketAddr`: a path, an abstract name or nothing.

use std::ffi::OsStr;
use std::fmt;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;

use nix::libc;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::net::buffer::Address;

/// The address of a Unix-domain socket: a path, an abstract name (Linux) or nothing. Converts from and to
/// that of `std`, which can make them.
///
/// # Example
/// ```
/// use crossover_runtime::net::unix::SocketAddr;
/// use std::path::Path;
///
/// let address = SocketAddr::from(std::os::unix::net::SocketAddr::from_pathname("/tmp/a.sock")?);
/// assert_eq!(address.as_pathname(), Some(Path::new("/tmp/a.sock")));
/// assert!(!address.is_unnamed());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct SocketAddr(net::SocketAddr);

impl SocketAddr {
    /// Whether it is no address at all: the socket was never bound.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// let (a, _b) = crossover_runtime::net::UnixStream::pair()?;
    /// assert!(a.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// The path, if it is one.
    ///
    /// # Example
    /// See [`SocketAddr`].
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// The abstract name without the zero in front, if it is one.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::unix::SocketAddr;
    /// use std::os::linux::net::SocketAddrExt;
    ///
    /// let address = SocketAddr::from(std::os::unix::net::SocketAddr::from_abstract_name("name")?);
    /// assert_eq!(address.as_abstract_name(), Some(&b"name"[..]));
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(target_os = "linux")]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.0.as_abstract_name()
    }

    /// For system calls. Nothing can be bound to or found at no address.
    pub(super) fn to_system(&self) -> io::Result<SocketAddrUnix> {
        #[cfg(target_os = "linux")]
        if let Some(name) = self.as_abstract_name() {
            return Ok(SocketAddrUnix::new_abstract_name(name)?);
        }
        let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the address is unnamed");
        Ok(SocketAddrUnix::new(self.as_pathname().ok_or_else(unnamed)?)?)
    }
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> SocketAddr {
        SocketAddr(address)
    }
}

impl From<SocketAddr> for net::SocketAddr {
    fn from(address: SocketAddr) -> net::SocketAddr {
        address.0
    }
}

impl Address for SocketAddr {
    /// Not by rustix's conversion, which takes an unnamed one for an abstract name of no bytes, and panics at
    /// a path that fills the address: peers choose that. std cannot express such a path, either.
    fn from_system(address: Option<SocketAddrAny>) -> Option<SocketAddr> {
        let path = match &address {
            Some(address) if address.address_family() == AddressFamily::UNIX => path_bytes(address),
            Some(_) => return None,
            None => &[],
        };
        let address = match path {
            #[cfg(target_os = "linux")]
            [0, name @ ..] => net::SocketAddr::from_abstract_name(name),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                net::SocketAddr::from_pathname(OsStr::from_bytes(&path[..end]))
            }
        };
        address.ok().map(SocketAddr)
    }
}

/// What follows the family.
fn path_bytes(address: &SocketAddrAny) -> &[u8] {
    let length = address.addr_len() as usize;
    // SAFETY: the storage behind the pointer belongs to `address`, and its first `length` bytes are initialised.
    let bytes = unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), length) };
    bytes.get(std::mem::offset_of!(libc::sockaddr_un, sun_path)..).unwrap_or_default()
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! Which type is it exactly? Serde hands over one element after the other, whatever they are. When they are the bytes or
//! floats of a vector or a slice, they can be copied as a whole, and this finds that out.
//!
//! `Any` would ask for types that are `'static`, which serde does not promise. So lifetimes are left out of the comparison
//! here, which is right for the types that are looked for: they have none, or only that of the reference itself.

use serde::{Deserialize, Deserializer, de::Visitor, forward_to_deserialize_any};
use std::{
    any::TypeId,
    fmt,
    marker::PhantomData,
    mem::{self, ManuallyDrop},
    ptr,
};

/// An element whose encoding is its bytes, and so always as long.
pub(super) trait Plain: Copy + for<'de> Deserialize<'de> + 'static {
    /// The bytes of one element.
    const BYTES: usize;

    /// Encodes the elements; `to` has exactly their length in bytes.
    fn write(run: &[Self], to: &mut [u8]);

    /// Decodes as many whole elements as there are.
    fn read(from: &[u8]) -> Vec<Self>;
}

impl Plain for u8 {
    const BYTES: usize = 1;

    fn write(run: &[u8], to: &mut [u8]) {
        to.copy_from_slice(run);
    }

    fn read(from: &[u8]) -> Vec<u8> {
        from.to_vec()
    }
}

macro_rules! float {
    ($($name:ty)*) => { $(
        impl Plain for $name {
            const BYTES: usize = size_of::<$name>();

            fn write(run: &[$name], to: &mut [u8]) {
                for (to, element) in to.as_chunks_mut().0.iter_mut().zip(run) {
                    *to = element.to_le_bytes();
                }
            }

            fn read(from: &[u8]) -> Vec<$name> {
                from.as_chunks().0.iter().map(|bytes| <$name>::from_le_bytes(*bytes)).collect()
            }
        }
    )* };
}

float!(f32 f64);

/// `T`'s identity with all lifetimes taken as `'static`.
#[inline(always)]
fn identity<T: ?Sized>() -> TypeId {
    trait Identity {
        fn identity(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T: ?Sized> Identity for PhantomData<T> {
        #[inline(always)]
        fn identity(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let nothing = PhantomData::<T>;
    // SAFETY: only the lifetime bound of the object changes, and the one method that asks for it looks at no data.
    let nothing = unsafe { mem::transmute::<&dyn Identity, &(dyn Identity + 'static)>(&nothing) };
    nothing.identity()
}

/// The elements that `sequence` iterates over, if it is a reference to a vector or a slice of `P`.
#[inline(always)]
pub(super) fn as_run<I, P: Plain>(sequence: &I) -> Option<&[P]> {
    let identity = identity::<I>();
    let place = ptr::from_ref(sequence);
    if identity == TypeId::of::<&'static Vec<P>>() {
        // SAFETY: `I` is `&Vec<P>` of some lifetime, which is at least as long as that of the borrow here.
        Some(unsafe { *place.cast::<&Vec<P>>() })
    } else if identity == TypeId::of::<&'static [P]>() {
        // SAFETY: as above, for `&[P]`.
        Some(unsafe { *place.cast::<&[P]>() })
    } else {
        None
    }
}

/// Whether `V` is the visitor with which a `Vec<P>` is deserialised, and so expects the elements to be `P`s.
#[inline(always)]
pub(super) fn is_visitor<V, P: Plain>() -> bool {
    let found = Vec::<P>::deserialize(Probe).err().and_then(|Found(visitor)| visitor);
    found == Some(identity::<V>())
}

/// A vector as the `T` that it is; `None` if it is not.
#[inline(always)]
pub(super) fn from_run<T, P: Plain>(run: Vec<P>) -> Option<T> {
    if identity::<T>() != TypeId::of::<Vec<P>>() {
        return None;
    }
    let run = ManuallyDrop::new(run);
    // SAFETY: the types are the same: their identities are, and `Vec<P>` has no lifetimes in which they could differ. The
    // original is not used again.
    Some(unsafe { mem::transmute_copy::<ManuallyDrop<Vec<P>>, T>(&run) })
}

/// Deserialises nothing: its error tells which visitor was to visit a sequence. (Its type has no name outside serde.)
struct Probe;

#[derive(Debug)]
struct Found(Option<TypeId>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Found {}

impl serde::de::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Found;

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
        Err(Found(Some(identity::<V>())))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
        Err(Found(None))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn only_vectors_and_slices_of_the_element_are_runs() {
        let floats = vec![1.5_f32, -2.0];
        assert_eq!(as_run::<_, f32>(&&floats), Some(&[1.5, -2.0][..]));
        assert_eq!(as_run::<_, f32>(&&floats[1..]), Some(&[-2.0][..]));
        assert_eq!(as_run::<_, f64>(&&floats), None);
        assert_eq!(as_run::<_, f32>(&floats), None, "no reference");
        assert_eq!(as_run::<_, f32>(&&mut [1.0_f32][..]), None);
        assert_eq!(as_run::<_, u8>(&&VecDeque::from([1_u8])), None);
        assert_eq!(as_run::<_, u8>(&&[1_u8]), None);
        assert_eq!(as_run::<_, u8>(&&vec![&1_u8]), None);
    }

    #[test]
    fn a_vectors_visitor_is_told_from_others() {
        struct Other;
        impl Visitor<'_> for Other {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("another format of the same type")
            }
        }
        /// Which visitor a type is deserialised with.
        fn visitor_is<T: for<'de> Deserialize<'de>, P: Plain>() -> bool {
            struct Ask<P>(PhantomData<P>);
            impl<'de, P: Plain> Deserializer<'de> for Ask<P> {
                type Error = Found;
                fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
                    Err(Found(is_visitor::<V, P>().then(TypeId::of::<()>)))
                }
                forward_to_deserialize_any! {
                    bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
                    unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
                }
            }
            T::deserialize(Ask(PhantomData::<P>)).is_err_and(|Found(visitor)| visitor.is_some())
        }
        assert!(!is_visitor::<Other, u8>());
        assert!(
            visitor_is::<Vec<u8>, u8>() && visitor_is::<Vec<f64>, f64>() && visitor_is::<Box<[u8]>, u8>()
        );
        assert!(
            !visitor_is::<Vec<u8>, f64>()
                && !visitor_is::<Vec<i8>, u8>()
                && !visitor_is::<VecDeque<u8>, u8>()
        );
    }

    #[test]
    fn a_vector_passes_through_as_it_is() {
        let run = vec![1.5_f32, -2.0];
        let place = run.as_ptr();
        let run: Vec<f32> = from_run(run).unwrap();
        assert_eq!((run.as_ptr(), &run[..]), (place, &[1.5, -2.0][..]));
        assert!(from_run::<String, f32>(run).is_none());
    }
}

//! The attribute `#[job]`, which makes a function callable through the process pool.
//!
//! Duty: leave the function exactly as written, and add one entry for it to the registry of jobs that
//! `crossover_runtime::process_pool` keeps. Everything that cannot cross a process boundary is refused
//! here, with an error that points at the offending token, instead of deep inside a trait bound.
//!
//! The expansion names nothing but `::crossover_runtime`, so a crate that uses `#[job]` must depend on
//! `crossover-runtime` under that name.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, Signature, Type, spanned::Spanned};

/// The most arguments a job may take: as many as `JobFn` has implementations for.
const MAX_ARGUMENTS: usize = 6;

/// Makes a free function callable in a worker process: `pool.call(function, (arguments,)).await`.
///
/// The function stays callable as before. It must be a plain `fn` with at most six owned arguments; the
/// arguments and the result must implement serde's `Serialize` and `DeserializeOwned`.
/// It may live in any module, also inside another function.
///
/// # Errors
/// `async`, generic, `unsafe`, `extern`, variadic and method functions, references and `impl Trait` in the
/// signature are refused at compile time.
#[proc_macro_attribute]
pub fn job(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(arguments.into(), item.into()).into()
}

/// The expansion, on types that a unit test can hold. On an error the function itself is still emitted, so
/// that its callers do not drown the one message that matters.
fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let error =
                syn::Error::new(item.span(), "#[job] goes on a free function: `#[job] fn name(...) -> ...`")
                    .to_compile_error();
            return quote! { #error #item };
        }
    };
    match register(&arguments, &function) {
        Ok(registration) => quote! { #function #registration },
        Err(error) => {
            let error = error.to_compile_error();
            quote! { #function #error }
        }
    }
}

/// Checks the signature and builds the registry entry.
fn register(arguments: &TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(syn::Error::new(arguments.span(), "#[job] takes no arguments"));
    }
    check_kind(&function.sig)?;
    let types = argument_types(&function.sig)?;
    if let syn::ReturnType::Type(_, output) = &function.sig.output {
        check_owned(output, "a job's result")?;
    }
    let name = &function.sig.ident;
    let output = &function.sig.output;
    // A function that is configured away must not leave its registration behind.
    let cfgs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    Ok(quote! {
        #(#cfgs)*
        const _: () = {
            use ::crossover_runtime::process_pool::__private as private;
            #[private::linkme::distributed_slice(private::JOBS)]
            #[linkme(crate = private::linkme)]
            static JOB: private::Declared = private::Declared::new(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                ::core::stringify!((#(#types,)*) #output),
                (::core::file!(), ::core::line!(), ::core::column!()),
                || private::runner::<_, (#(#types,)*)>(#name),
            );
        };
    })
}

/// Refuses every kind of function that is not a plain `fn`.
fn check_kind(signature: &Signature) -> syn::Result<()> {
    let refuse = |span, why: &str| Err(syn::Error::new(span, why));
    if let Some(token) = &signature.asyncness {
        return refuse(
            token.span(),
            "a job runs on the worker process's own thread and cannot be `async`: use a plain `fn`, and \
             `block_on` inside it where it must await",
        );
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            signature.generics.span(),
            "a job cannot be generic: the worker looks it up by name, so every job is one concrete function; \
             write a `#[job]` wrapper for each type",
        );
    }
    if let Some(token) = &signature.unsafety {
        return refuse(token.span(), "a job cannot be `unsafe`: wrap the call in a safe `#[job]` function");
    }
    if let Some(token) = &signature.abi {
        return refuse(token.span(), "a job cannot be `extern`: wrap the call in a plain `#[job]` function");
    }
    if let Some(token) = &signature.variadic {
        return refuse(token.span(), "a job cannot be variadic");
    }
    Ok(())
}

/// The argument types in order, each checked to be owned.
fn argument_types(signature: &Signature) -> syn::Result<Vec<&Type>> {
    let mut types = Vec::with_capacity(signature.inputs.len());
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                return Err(syn::Error::new(
                    receiver.span(),
                    "a job cannot be a method: `self` does not exist in the worker process; pass the value as an \
                     argument of a free function",
                ));
            }
            FnArg::Typed(argument) => {
                check_owned(&argument.ty, "a job's argument")?;
                types.push(&*argument.ty);
            }
        }
    }
    if let Some(extra) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        return Err(syn::Error::new(
            extra.span(),
            format!("a job takes at most {MAX_ARGUMENTS} arguments: group them in a struct"),
        ));
    }
    Ok(types)
}

/// Refuses borrowed and `impl Trait` types: a value that crosses to another process must own its data and
/// have one concrete type.
fn check_owned(ty: &Type, what: &str) -> syn::Result<()> {
    match ty {
        Type::Reference(reference) => Err(syn::Error::new(
            reference.span(),
            format!(
                "{what} crosses a process boundary and must be owned: take `String`, `Vec<T>`, … instead of a reference"
            ),
        )),
        Type::ImplTrait(opaque) => Err(syn::Error::new(
            opaque.span(),
            format!("{what} must have one concrete type, not `impl Trait`"),
        )),
        Type::Ptr(pointer) => Err(syn::Error::new(
            pointer.span(),
            format!("{what} cannot be a pointer: it means nothing in another process"),
        )),
        Type::Paren(inner) => check_owned(&inner.elem, what),
        Type::Group(inner) => check_owned(&inner.elem, what),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(|ty| check_owned(ty, what)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;
    use quote::quote;

    /// The expansion's text, for a function given as tokens.
    fn text(item: proc_macro2::TokenStream) -> String {
        expand(quote! {}, item).to_string()
    }

    #[test]
    fn a_plain_function_is_kept_and_registered() {
        let text = text(quote! { pub fn add(a: u32, b: u32) -> u32 { a + b } });
        assert!(text.starts_with("pub fn add (a : u32 , b : u32) -> u32 { a + b }"), "{text}");
        assert!(text.contains("distributed_slice"), "{text}");
        assert!(text.contains("(u32 , u32 ,)"), "{text}");
        assert!(!text.contains("compile_error"), "{text}");
    }

    #[test]
    fn cfg_attributes_also_guard_the_registration() {
        let text = text(quote! { #[cfg(unix)] fn f() {} });
        assert_eq!(text.matches("cfg (unix)").count(), 2, "{text}");
    }

    #[test]
    fn what_cannot_cross_a_process_boundary_is_refused_with_the_reason() {
        for (item, reason) in [
            (quote! { async fn f() {} }, "cannot be `async`"),
            (quote! { fn f<T>(t: T) {} }, "cannot be generic"),
            (quote! { fn f<const N: usize>() {} }, "cannot be generic"),
            (quote! { fn f(self) {} }, "cannot be a method"),
            (quote! { fn f(&self, a: u32) {} }, "cannot be a method"),
            (quote! { unsafe fn f() {} }, "cannot be `unsafe`"),
            (quote! { extern "C" fn f() {} }, "cannot be `extern`"),
            (quote! { fn f(a: &str) {} }, "must be owned"),
            (quote! { fn f(a: (u32, &'static str)) {} }, "must be owned"),
            (quote! { fn f() -> &'static str { "" } }, "must be owned"),
            (quote! { fn f(a: impl Into<u32>) {} }, "one concrete type"),
            (quote! { fn f(a: *const u8) {} }, "cannot be a pointer"),
            (quote! { fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {} }, "at most 6 arguments"),
            (quote! { struct NotAFunction; }, "goes on a free function"),
        ] {
            let text = text(item.clone());
            assert!(text.contains("compile_error"), "{item} was accepted: {text}");
            assert!(text.contains(reason), "{item} was refused with another reason: {text}");
            assert!(!text.contains("distributed_slice"), "{item} was registered");
        }
    }

    #[test]
    fn arguments_of_the_attribute_are_refused() {
        let text = expand(quote! { retry = 3 }, quote! { fn f() {} }).to_string();
        assert!(text.contains("takes no arguments"), "{text}");
    }
}

//! `#[derive(Fields)]` for settings and forms, `#[derive(Choice)]` for lists to choose from.
//!
//! The derive knows what the Action API knows of a field and nothing more: label, description,
//! required, sensitive, widget, default, interactive, user attribute. The *type* of a member says
//! whether it is required (`Option`), sensitive (`Secret`) and how it is drawn; its doc comment is
//! the description; its name is the name on the wire.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Ident, Lit, LitStr, Meta};
use syn::{Generics, Result, ext::IdentExt, parse_macro_input, spanned::Spanned};

/// Implements `sendoff::Fields`. See there for the attributes.
#[proc_macro_derive(Fields, attributes(field))]
pub fn fields(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_fields(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `sendoff::Choice`. See there for the attributes.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn choice(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_choice(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand_fields(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "Fields is for structs with named members"));
    };
    no_generics(&input.generics, "Fields is for structs without parameters")?;
    let members = data.fields.iter().map(Member::of).collect::<Result<Vec<_>>>()?;
    let name = &input.ident;
    let vis = &input.vis;
    let view = format_ident!("{name}View");
    let doc = format!("The fields of [`{name}`], to be completed before they are drawn.");

    let view_members = members.iter().map(Member::in_view);
    let make = members.iter().map(Member::make);
    let list = members.iter().map(Member::list);
    let read = members.iter().map(Member::read);
    let names = members.iter().map(|member| &member.ident);
    Ok(quote! {
        #[doc = #doc]
        #vis struct #view { #(#view_members)* }

        impl ::sendoff::Fields for #name {
            type View = #view;
            fn view(draft: &::sendoff::Values) -> #view { #view { #(#make)* } }
            fn list(view: #view, out: &mut ::std::vec::Vec<::sendoff::Field>) { #(#list)* }
            fn read(
                values: &::sendoff::Values,
                problems: &mut ::sendoff::Problems,
            ) -> ::std::option::Option<Self> {
                #(#read)*
                ::std::option::Option::Some(Self { #(#names: #names?,)* })
            }
        }
    })
}

/// One member of the struct.
struct Member<'a> {
    ident: &'a Ident,
    ty: &'a syn::Type,
    flatten: bool,
    /// Calls on the field's builder, `.label("…").textarea()`.
    calls: TokenStream,
}

impl<'a> Member<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let Some(ident) = &field.ident else {
            return Err(Error::new(field.span(), "Fields is for structs with named members"));
        };
        let mut member = Self { ident, ty: &field.ty, flatten: false, calls: TokenStream::new() };
        if let Some(text) = doc_text(&field.attrs) {
            member.calls.extend(quote!(.description(#text)));
        }
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("field")) {
            attr.parse_nested_meta(|meta| {
                let known = ["label", "default", "user_attribute", "name"];
                if let Some(key) = known.iter().find(|key| meta.path.is_ident(key)) {
                    let text: LitStr = meta.value()?.parse()?;
                    let call = Ident::new(key, Span::call_site());
                    member.calls.extend(quote!(.#call(#text)));
                } else if meta.path.is_ident("flatten") {
                    member.flatten = true;
                } else {
                    let switches = ["textarea", "interactive", "public", "per_user"];
                    let Some(key) = switches.iter().find(|key| meta.path.is_ident(key)) else {
                        return Err(meta.error(
                            "one of label, name, default, textarea, interactive, public, \
                             user_attribute, per_user, flatten",
                        ));
                    };
                    let call = Ident::new(key, Span::call_site());
                    member.calls.extend(quote!(.#call()));
                }
                Ok(())
            })?;
        }
        Ok(member)
    }

    fn in_view(&self) -> TokenStream {
        let (ident, ty) = (self.ident, self.ty);
        if self.flatten {
            quote!(pub #ident: <#ty as ::sendoff::Fields>::View,)
        } else {
            quote!(pub #ident: ::sendoff::Field,)
        }
    }

    fn field(&self) -> TokenStream {
        let (ty, calls) = (self.ty, &self.calls);
        let name = self.ident.unraw().to_string();
        quote!(::sendoff::Field::of::<#ty>(#name)#calls)
    }

    fn make(&self) -> TokenStream {
        let (ident, ty, field) = (self.ident, self.ty, self.field());
        if self.flatten {
            quote!(#ident: <#ty as ::sendoff::Fields>::view(draft),)
        } else {
            quote!(#ident: #field.filled(draft),)
        }
    }

    fn list(&self) -> TokenStream {
        let (ident, ty) = (self.ident, self.ty);
        if self.flatten {
            quote!(<#ty as ::sendoff::Fields>::list(view.#ident, out);)
        } else {
            quote!(out.push(view.#ident);)
        }
    }

    fn read(&self) -> TokenStream {
        let (ident, ty, field) = (self.ident, self.ty, self.field());
        if self.flatten {
            quote!(let #ident = <#ty as ::sendoff::Fields>::read(values, problems);)
        } else {
            quote!(let #ident = problems.read::<#ty>(values, #field);)
        }
    }
}

fn expand_choice(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.span(), "Choice is for enums without data"));
    };
    no_generics(&input.generics, "Choice is for enums without parameters")?;
    let name = &input.ident;
    let mut all = Vec::new();
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            return Err(Error::new(variant.span(), "Choice is for enums without data"));
        }
        let mut wire = snake_case(&variant.ident.unraw().to_string());
        let mut label = None;
        for attr in variant.attrs.iter().filter(|attr| attr.path().is_ident("choice")) {
            attr.parse_nested_meta(|meta| {
                let text: LitStr = meta.value()?.parse()?;
                if meta.path.is_ident("name") {
                    wire = text.value();
                } else if meta.path.is_ident("label") {
                    label = Some(text.value());
                } else {
                    return Err(meta.error("one of name, label"));
                }
                Ok(())
            })?;
        }
        let label = label.unwrap_or_else(|| sentence_case(&wire));
        let ident = &variant.ident;
        all.push(quote!((#name::#ident, #wire, #label)));
    }
    Ok(quote! {
        impl ::sendoff::Choice for #name {
            const ALL: &'static [(Self, &'static str, &'static str)] = &[#(#all),*];
        }
        impl ::sendoff::Value for #name {
            fn widget() -> ::sendoff::Widget { ::sendoff::choice_widget::<Self>() }
            fn parse(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                ::sendoff::choice_parse(text)
            }
        }
    })
}

/// Looker knows one form of a struct.
fn no_generics(generics: &Generics, what: &str) -> Result<()> {
    match generics.params.first() {
        Some(first) => Err(Error::new(first.span(), what)),
        None => Ok(()),
    }
}

/// The doc comment as one line of text.
fn doc_text(attrs: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attrs
        .iter()
        .filter(|attr| attr.path().is_ident("doc"))
        .filter_map(|attr| match &attr.meta {
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                    Some(text.value().trim().to_owned())
                }
                _ => None,
            },
            _ => None,
        })
        .filter(|line| !line.is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

/// `KeepBoth` reads `keep_both`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `keep_both` reads `Keep both`.
fn sentence_case(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    first + &chars.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(expanded: Result<TokenStream>) -> String {
        expanded.expect_err("a refusal").to_string()
    }

    #[test]
    fn parameters_are_refused_and_not_dropped() {
        for text in ["struct A<T> { a: T }", "struct A<'a> { a: &'a str }"] {
            let input = syn::parse_str(text).unwrap();
            assert!(refused(expand_fields(&input)).contains("without parameters"), "{text}");
        }
        let input = syn::parse_str("enum A<const N: usize> { B }").unwrap();
        assert!(refused(expand_choice(&input)).contains("without parameters"));
    }
}

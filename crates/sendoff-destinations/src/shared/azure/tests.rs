//! Tests of what is signed and of how a token is read.

use super::*;

/// The example of
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>, for the
/// request that lists a container's metadata.
#[test]
fn what_is_signed_is_the_vendors_example() {
    let text = string_to_sign(
        &Method::GET,
        "myaccount",
        "https://myaccount.blob.core.windows.net/mycontainer",
        &[
            ("restype", "container".to_owned()),
            ("comp", "metadata".to_owned()),
            ("timeout", "20".to_owned()),
        ],
        &[
            ("x-ms-version", "2015-02-21".to_owned()),
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT".to_owned()),
        ],
        0,
    );
    assert_eq!(
        text,
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n\
         x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\n\
         timeout:20"
    );
}

#[test]
fn a_sas_token_may_be_a_whole_url() {
    let read = |text: &str| match Login::sas(&text.into()) {
        Ok(Login::Sas(pairs)) => pairs,
        _ => panic!("{text}"),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let both = vec![pair("sv", "2023-11-03"), pair("sig", "a+b/c=")];
    assert_eq!(read("?sv=2023-11-03&sig=a%2Bb%2Fc%3D"), both);
    assert_eq!(read("https://x.blob.core.windows.net/c?sv=2023-11-03&sig=a+b/c="), both);
    assert!(Login::sas(&"sv=2023-11-03".into()).is_err());
}

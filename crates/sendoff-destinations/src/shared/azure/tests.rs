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

/// Nothing but a token was asked for when its answer is lost.
#[tokio::test]
async fn a_login_whose_answer_is_lost_delivered_nothing() {
    use sendoff::{Arrival, Egress, EgressConfig, Origins, RetryPolicy, Scope};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access_token\":"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                // The form ends with what was asked for.
                while !text.ends_with("default") {
                    let mut piece = [0; 4096];
                    let n = socket.read(&mut piece).await.unwrap();
                    text.push_str(std::str::from_utf8(&piece[..n]).unwrap());
                }
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut config = EgressConfig::new("a secret of the test".into());
        config.origins =
            Origins::parse([format!("https://login.microsoftonline.com=http://{to}")]).unwrap();
        config.retry = RetryPolicy { tries: 1, ..RetryPolicy::default() };
        let http = Egress::new(config).unwrap().http(Scope::new(NAME));
        let secret = "a client secret".into();
        let login = Login::entra(&http, "login.microsoftonline.com", "t", "c", &secret).await;
        let error = login.err().expect("no login");
        assert_eq!(error.arrival(), Arrival::Nothing, "{answer}: {error}");
        assert!(!error.log_line().contains("a client secret"), "{error}");
    }
}

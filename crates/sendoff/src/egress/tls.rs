//! Which certificates the hub trusts.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::{Error, Result};

/// The system's own certificates (`SSL_CERT_FILE` counts, as everywhere on this platform), read
/// once per process.
fn system_certificates() -> &'static [CertificateDer<'static>] {
    static FOUND: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for fault in &found.errors {
            tracing::debug!(%fault, "a system certificate could not be read");
        }
        found.certs
    })
}

/// rustls with ring. Mozilla's roots are built in, so that a container without certificates
/// works; the system's and the operator's own come on top.
pub(super) fn config(extra_ca_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(system_certificates().iter().cloned());
    if let Some(pem) = extra_ca_pem {
        let wrong = "The file of extra certificate authorities holds no valid PEM certificate. It \
                     must hold one block or more that begin with -----BEGIN CERTIFICATE-----.";
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|fault| Error::hub(wrong).cause(fault))?;
            roots.add(certificate).map_err(|fault| Error::hub(wrong).cause(fault))?;
            added += 1;
        }
        if added == 0 {
            return Err(Error::hub(wrong));
        }
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|fault| Error::hub("The TLS library could not be set up.").cause(fault))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOSSL

/// A certificate with its private key, for servers that only tests talk to.
public struct TestCertificate: Sendable, Hashable {
    /// The certificate chain, PEM.
    public var certificatePEM: String
    /// The private key, PEM.
    public var privateKeyPEM: String

    /// Takes a certificate and key as they are.
    public init(certificatePEM: String, privateKeyPEM: String) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }

    /// A self-signed certificate for `localhost` and `127.0.0.1`, valid from 2024 to 2124.
    ///
    /// TEST ONLY. The key below is public by being here: it protects nothing, is trusted by nobody, and must never
    /// be used for anything but a test's own loopback server. A client trusts it by naming `certificatePEM` as its
    /// only root.
    public static let localhost = TestCertificate(
        certificatePEM: """
            -----BEGIN CERTIFICATE-----
            MIIB9zCCAZ6gAwIBAgIUYSxlPTbbeqHHex6Ft0xVRfmpvw8wCgYIKoZIzj0EAwIw
            LzESMBAGA1UEAwwJbG9jYWxob3N0MRkwFwYDVQQKDBBQYXJsZXkgdGVzdCBvbmx5
            MCAXDTI0MDEwMTAwMDAwMFoYDzIxMjQwMTAxMDAwMDAwWjAvMRIwEAYDVQQDDAls
            b2NhbGhvc3QxGTAXBgNVBAoMEFBhcmxleSB0ZXN0IG9ubHkwWTATBgcqhkjOPQIB
            BggqhkjOPQMBBwNCAASybl8vYTNIEHBbJoBa4baxz9CcNaAZoTXC4AfpO/iG27fG
            Vq37Kqc1kxNSaQsguLeUvLBRGULatsENzSulgjFlo4GVMIGSMBoGA1UdEQQTMBGC
            CWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIC
            hDATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNVHQ4EFgQULc1I57SebyhspRuz+2Zo
            0l9ZxCgwHwYDVR0jBBgwFoAULc1I57SebyhspRuz+2Zo0l9ZxCgwCgYIKoZIzj0E
            AwIDRwAwRAIgGUO3YOj19Y8UrEbgQ39B80yP3foclfDwGIWBfwqcFdUCIEDxveGl
            5JpXMFwRHbYHgKVMQ6AVJdFLheooQl9DsmAr
            -----END CERTIFICATE-----

            """,
        privateKeyPEM: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbN/kLbNZ2M6PW2q0
            Oou4+MozfZfI7dRysPMnLRInL9ehRANCAASybl8vYTNIEHBbJoBa4baxz9CcNaAZ
            oTXC4AfpO/iG27fGVq37Kqc1kxNSaQsguLeUvLBRGULatsENzSulgjFl
            -----END PRIVATE KEY-----

            """
    )

    /// A server's TLS context that presents this certificate and offers HTTP/1.1 by ALPN.
    ///
    /// - Throws: `NIOSSLError` if the PEM cannot be read.
    func serverContext() throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificatePEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(privateKeyPEM.utf8), format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}

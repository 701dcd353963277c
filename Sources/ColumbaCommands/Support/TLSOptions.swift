// The options of every command that may speak TLS: whom to show, whom to trust.
import HTTPClient

enum TLSOptions {
    static let specifications = [
        OptionSpecification("cert", "FILE", "Own certificate (PEM), for https:// addresses"),
        OptionSpecification("key", "FILE", "Its key; not needed where the certificate's file holds it too"),
        OptionSpecification("ca", "FILE", "Whom to trust (PEM); without it, the system's authorities"),
    ]

    /// nil: none of them was given.
    static func read(_ arguments: ParsedArguments) throws(UsageError) -> HTTPClientTLS? {
        let (certificate, key) = (arguments.string("cert"), arguments.string("key"))
        guard certificate != nil || key == nil else { throw UsageError("--key needs --cert") }
        guard certificate != nil || arguments.string("ca") != nil else { return nil }
        return HTTPClientTLS(
            authoritiesFile: arguments.string("ca"), certificateFile: certificate, keyFile: key ?? certificate)
    }
}

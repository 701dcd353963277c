// What libcurl calls while an exchange runs, and the C strings it reads; both live exactly as long as the exchange.
import CHTTPClient
import Glibc

final class Callbacks {
    let isCancelled: (() -> Bool)?
    let onStatus: ((Int) -> Bool)?
    let onBytes: ((UnsafeRawBufferPointer) -> Bool)?
    /// `onStatus` or `onBytes` returned false.
    var consumerStopped = false

    init(
        isCancelled: (() -> Bool)?, onStatus: ((Int) -> Bool)?, onBytes: ((UnsafeRawBufferPointer) -> Bool)?
    ) {
        self.isCancelled = isCancelled
        self.onStatus = onStatus
        self.onBytes = onBytes
    }

    func stopUnless(_ goOn: Bool) -> Bool {
        if !goOn { consumerStopped = true }
        return goOn
    }
}

private func callbacks(_ context: UnsafeMutableRawPointer?) -> Callbacks {
    guard let context else { preconditionFailure("libcurl lost the exchange's context") }
    return Unmanaged<Callbacks>.fromOpaque(context).takeUnretainedValue()
}

func askCancelled(_ context: UnsafeMutableRawPointer?) -> Bool {
    callbacks(context).isCancelled?() ?? false
}

func giveStatus(_ context: UnsafeMutableRawPointer?, _ status: Int) -> Bool {
    let callbacks = callbacks(context)
    return callbacks.stopUnless(callbacks.onStatus?(status) ?? true)
}

func giveBytes(_ context: UnsafeMutableRawPointer?, _ bytes: UnsafeRawPointer?, _ length: Int) -> Bool {
    let callbacks = callbacks(context)
    return callbacks.stopUnless(callbacks.onBytes?(UnsafeRawBufferPointer(start: bytes, count: length)) ?? true)
}

/// C copies of strings, freed together.
struct CStrings {
    private var pointers: [UnsafeMutablePointer<CChar>] = []

    mutating func add(_ string: String) -> UnsafePointer<CChar>? {
        guard let copy = strdup(string) else { preconditionFailure("no memory for a request's strings") }
        pointers.append(copy)
        return UnsafePointer(copy)
    }

    mutating func free() {
        for pointer in pointers { Glibc.free(pointer) }
        pointers = []
    }
}

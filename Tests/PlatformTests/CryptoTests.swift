// Hashes, HMACs and encodings against published values.

import Crypto
import Testing

@Suite("Crypto")
struct CryptoTests {
    @Test(
        "SHA-256 gives the published digests",
        arguments: [
            // FIPS 180-4's examples.
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func sha256(text: String, hex: String) {
        #expect(SHA256.hash(text).hex == hex)
        #expect(SHA256.hash(Array(text.utf8)).hex == hex)
        #expect(SHA256Digest(hex: hex) == SHA256.hash(text))
    }

    @Test("a hasher is a value: a copy goes its own way, and pieces make the whole")
    func incremental() {
        var hasher = SHA256()
        hasher.update("ab")
        var copy = hasher
        hasher.update("c")
        copy.update(Array("d".utf8))
        #expect(hasher.finalize() == SHA256.hash("abc") && copy.finalize() == SHA256.hash("abd"))
        hasher.update("d")
        #expect(hasher.finalize() == SHA256.hash("abcd"))
        let million = [UInt8](repeating: 0x61, count: 1_000_000)
        #expect(SHA256.hash(million).hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test("a digest has its texts, its bytes and an order")
    func digest() {
        let digest = SHA256.hash("abc")
        #expect(digest.base64 == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
        #expect(digest.bytes.count == 32 && SHA256Digest(bytes: digest.bytes) == digest)
        #expect(digest.bytes[0] == 0xba && digest.prefix64 >> 56 == 0xba)
        #expect(SHA256Digest(bytes: [1, 2, 3]) == nil && SHA256Digest(hex: "zz") == nil)
        let sorted = ["abc", "", "x", "y"].map { SHA256.hash($0) }.sorted()
        #expect(sorted.map(\.hex) == sorted.map(\.hex).sorted())
        #expect(MemoryLayout<SHA256Digest>.size == 32)
    }

    @Test("HMAC-SHA-256 gives RFC 4231's codes")
    func hmac() {
        func code(_ key: [UInt8], _ text: [UInt8]) -> String { HMACSHA256(key: key).authenticate(text).hex }
        #expect(
            code([UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            code(Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            code(
                [UInt8](repeating: 0xaa, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        let key = HMACSHA256(key: [1])
        let message = Array("m".utf8)
        var answer = key.authenticate(message).bytes
        message.withUnsafeBytes { #expect(key.isValid(answer, for: $0)) }
        answer[31] ^= 1
        message.withUnsafeBytes { #expect(!key.isValid(answer, for: $0) && !key.isValid([], for: $0)) }
    }

    @Test("XXH3 gives the library's published values")
    func xxh3() {
        // xxHash's own sanity check: the empty input, seeds 0 and PRIME64.
        #expect(XXH3.hash64([]) == 0x2d06_8005_38d3_94c2)
        #expect(XXH3.hash64([], seed: 0x9e37_79b1_85eb_ca8d) == 0xa8a6_b918_b2f0_364a)
        #expect(XXH3.hash64([1, 2, 3]) != XXH3.hash64([1, 2, 4]))
        #expect(XXH3.hash64([1, 2, 3], seed: 1) != XXH3.hash64([1, 2, 3]))
    }

    @Test("random bytes differ, and an epoch is 32 lowercase digits")
    func random() {
        #expect(Random.bytes(0).isEmpty && Random.bytes(33).count == 33)
        #expect(Random.bytes(16) != Random.bytes(16))
        let epochs = (0..<1000).map { _ in Random.epoch() }
        #expect(Set(epochs).count == 1000)
        #expect(epochs.allSatisfy { $0.utf8.count == 32 && $0 == $0.lowercased() && Hex.decode($0)?.count == 16 })
    }

    @Test("hexadecimal and base64 follow RFC 4648")
    func encodings() {
        #expect(Hex.encode([0, 0x0f, 0xff]) == "000fff" && Hex.decode("000FfF") == [0, 15, 255])
        #expect(Hex.decode("0") == nil && Hex.decode("0g") == nil && Hex.decode("") == [])
        let published = [
            "": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE=",
            "foobar": "Zm9vYmFy",
        ]
        for (text, code) in published { #expect(Base64.encode(Array(text.utf8)) == code) }
    }

    @Test("constant-time comparison compares")
    func constantTime() {
        #expect(ConstantTime.equal("", "") && ConstantTime.equal("token", "token"))
        #expect(
            !ConstantTime.equal("token", "tokem") && !ConstantTime.equal("token", "toke")
                && !ConstantTime.equal("", "t"))
    }
}

// What the server answers is bytes from outside: elements or nothing, never a crash (I8).

import System
import TestSupport
import Testing

import ObjectStore

@Suite("S3's answers")
struct S3XMLTests {
    private static let page = """
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- a page -->
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/><KeyCount>2</KeyCount>
        <IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>
        <s3:Contents a="1>2"><Key>x/&lt;&#38;&#x3e;"'</Key><Size>12</Size></s3:Contents>
        <Contents><Key><![CDATA[a<b&c]]></Key><Size>0</Size></Contents></ListBucketResult>
        """

    @Test("elements, attributes, entities, comments and CDATA are read as they are meant")
    func page() throws {
        let root = try #require(S3XMLReader.root(of: Array(Self.page.utf8)))
        #expect(root.name == "ListBucketResult" && root["IsTruncated"] == "true" && root["Prefix"] == "")
        #expect(root["NextContinuationToken"] == "a&b" && root["Nothing"] == nil)
        #expect(root.all("Contents").map { $0["Key"] } == ["x/<&>\"'", "a<b&c"])
        #expect(root.all("Contents").map { $0["Size"] } == ["12", "0"])
    }

    @Test(
        "what is no document is none: cut, crossed, too deep, with a document type or an unknown entity",
        arguments: [
            "", "text", "<a", "<a>", "<a><b></a></b>", "<a>&nbsp;</a>", "<!DOCTYPE a><a></a>", "<a></b>", "<></>",
            String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17), "<a>&#xFFFFFFFFF;</a>",
            "<a>&amp</a>",
        ])
    func broken(text: String) {
        #expect(S3XMLReader.root(of: Array(text.utf8)) == nil)
    }

    @Test("random changes of a page never crash the reader, nor take long")
    func random() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var chance = SeededGenerator(seed: seed)
        let pieces = ["<", ">", "/", "&", ";", "<!--", "]]>", "<![CDATA[", "&#", "\0", "\"", "<a>"].map {
            Array($0.utf8)
        }
        for _ in 0..<3_000 {
            var bytes = Array(Self.page.utf8)
            for _ in 0...Int.random(in: 0..<6, using: &chance) {
                let place = Int.random(in: 0..<bytes.count, using: &chance)
                if Bool.random(using: &chance) {
                    bytes.replaceSubrange(place..<place, with: pieces.randomElement(using: &chance) ?? [])
                } else {
                    bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1..<40, using: &chance)))
                }
                if bytes.isEmpty { break }
            }
            _ = S3XMLReader.root(of: bytes)
        }
        let deep = Array(String(repeating: "<a>", count: 200_000).utf8)
        #expect(S3XMLReader.root(of: deep) == nil)
    }

    @Test("places and addresses are taken apart or refused")
    func settings() {
        #expect(S3Location("s3://bucket/a/b/")?.prefix == "a/b")
        #expect(S3Location("s3://bucket")?.prefix == "" && S3Location("s3://bucket/")?.bucket == "bucket")
        for text in [
            "s3:/bucket", "http://bucket", "s3://", "s3://AB/c", "s3://bucket//a", "s3://bucket/../a", "/lake",
        ] {
            #expect(S3Location(text) == nil, "\(text)")
        }
        #expect(S3Endpoint("https://s3.example.com:443/")?.host == "s3.example.com")
        #expect(S3Endpoint("http://127.0.0.1:8333")?.hostName == "127.0.0.1")
        #expect(S3Endpoint("http://[::1]:8333")?.hostName == "::1")
        for text in ["s3.example.com", "ftp://x", "https://", "https://a/b", "http://a b", "http://a?x"] {
            #expect(S3Endpoint(text) == nil, "\(text)")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Amazon Bedrock")
struct BedrockProviderTests {
    private static let model = "us.amazon.nova-micro-v1:0"
    private static let answer =
        #"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn","#
        + #""usage":{"inputTokens":3,"outputTokens":1,"totalTokens":4}}"#

    private static func setup(_ change: (inout ProviderSetup) -> Void = { _ in }) -> ProviderSetup {
        var setup = ProviderSetup(name: "aws", kind: "bedrock")
        setup.options.values = ["region": "us-east-1", "access_key": "TESTACCESSKEY", "secret_key": "test-secret-key"]
        change(&setup)
        return setup
    }

    private static func upstream(_ setup: ProviderSetup, _ id: String = model) throws -> any Model {
        // 2025-01-02 03:04:05.
        Upstream(provider: try BedrockProvider(setup) { 1_735_787_045 }, model: id, name: "aws/\(id)")
    }

    private static func stream() -> [UInt8] {
        let texts = ["H", "i"].flatMap {
            EventStreamWriter.event("contentBlockDelta", #"{"contentBlockIndex":0,"delta":{"text":"\#($0)"}}"#)
        }
        return EventStreamWriter.event("messageStart", #"{"role":"assistant"}"#) + texts
            + EventStreamWriter.event("messageStop", #"{"stopReason":"end_turn"}"#)
            + EventStreamWriter.event("metadata", #"{"usage":{"inputTokens":3,"outputTokens":1,"totalTokens":4}}"#)
    }

    @Test("A request is signed over what is sent, to the model's path")
    func signed() async throws {
        let connector = FakeConnector(.json(Self.answer))
        let reply = try await Self.upstream(Self.setup()).answer(makeCall(connector, stream: false))
        let head = try #require(connector.heads.first)
        #expect(head.hasPrefix("POST /model/us.amazon.nova-micro-v1%3A0/converse HTTP/1.1\r\n"))
        #expect(head.contains("\r\nhost: bedrock-runtime.us-east-1.amazonaws.com\r\n"))
        #expect(head.contains("\r\nx-amz-date: 20250102T030405Z\r\n"))
        #expect(!head.contains("x-amz-security-token"))
        #expect(head.contains("\r\ncontent-type: application/json\r\n"))
        let body = ByteBuffer(string: connector.bodies[0])
        let signer = SigV4(accessKey: "TESTACCESSKEY", secretKey: "test-secret-key", region: "us-east-1")
        let headers = [
            HeaderField("host", "bedrock-runtime.us-east-1.amazonaws.com"),
            HeaderField("content-type", "application/json"),
        ]
        let expected = signer.headers(
            for: .init(
                method: "POST", target: "/model/us.amazon.nova-micro-v1%3A0/converse", headers: headers, body: body),
            at: 1_735_787_045)
        #expect(head.contains("\r\nauthorization: \(expected[0].value)\r\n"))
        #expect(connector.bodies[0] == #"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#)
        let whole = try JSON.parse(try await text(of: reply))
        #expect(whole["choices"]?.array?.first?["message"]?["content"] == "Hi")
        #expect(whole["usage"]?["total_tokens"] == 4)
    }

    @Test("Temporary credentials send their token; an API key is a bearer and signs nothing")
    func otherKeys() async throws {
        let connector = FakeConnector(.json(Self.answer), .json(Self.answer))
        let temporary = Self.setup { $0.options.values["session_token"] = "tok" }
        _ = try await Self.upstream(temporary).answer(makeCall(connector, stream: false))
        #expect(connector.heads[0].contains("\r\nx-amz-security-token: tok\r\n"))
        #expect(connector.heads[0].contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"))
        _ = try await Self.upstream(Self.setup { $0.apiKeys = ["bedrock-key"] }).answer(
            makeCall(connector, stream: false))
        #expect(connector.heads[1].contains("\r\nauthorization: Bearer bedrock-key\r\n"))
        #expect(!connector.heads[1].contains("x-amz-date"))
    }

    @Test("A stream is asked for in Amazon's framing and becomes the client's, at every split")
    func streamed() async throws {
        let bytes = Self.stream()
        for plan in [Splits.bytewise(forBytes: bytes.count)] + Splits.twoPart(forBytes: bytes.count) {
            let script = FakeConnector.Script(
                headers: [("content-type", "application/vnd.amazon.eventstream")],
                reads: plan.pieces(of: bytes).map { .raw($0) })
            let connector = FakeConnector(script)
            let reply = try await Self.upstream(Self.setup()).answer(makeCall(connector, includeUsage: true))
            let out = try await text(of: reply)
            #expect(out.contains(#""content":"H""#) && out.contains(#""content":"i""#), "\(plan)")
            #expect(out.contains(#""finish_reason":"stop""#) && out.contains(#""total_tokens":4"#))
            #expect(out.hasSuffix(doneFrame))
            let head = try #require(connector.heads.first)
            #expect(head.contains("/converse-stream HTTP/1.1\r\n"))
            #expect(head.contains("\r\naccept: application/vnd.amazon.eventstream, application/json\r\n"))
        }
    }

    @Test("A stream that breaks after its first words ends with an error in the client's dialect")
    func broken() async throws {
        let start = EventStreamWriter.event("contentBlockDelta", #"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#)
        let exception = EventStreamWriter.exception("throttlingException", #"{"message":"slow down"}"#)
        let connector = FakeConnector(
            .init(reads: [.raw(start), .raw(exception)]), .init(reads: [.raw(exception)]))
        let model = try Self.upstream(Self.setup())
        let reply = try await model.answer(makeCall(connector))
        guard case .client(let body) = reply.content else { return }
        var out = ByteBuffer()
        let failure = try #require(await thrown(by: body, into: &out))
        body.fail(failure, into: &out)
        #expect(failure.kind == .rateLimited)
        #expect(String(buffer: out).contains("slow down") && !String(buffer: out).contains("[DONE]"))
        // Before them the call can be tried elsewhere.
        #expect(await thrown(by: model, makeCall(connector))?.httpStatus == 429)
    }

    @Test("ARNs, regions of their own domain, a base URL, and names that are no models")
    func places() throws {
        func path(_ id: String, _ change: (inout ProviderSetup) -> Void = { _ in }) throws -> [String] {
            let provider = try BedrockProvider(Self.setup(change))
            let target = try provider.face(for: makeCall(FakeConnector()), model: id).target
            return [target.endpoint.host, target.path]
        }
        let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y-v1:0"
        let encoded = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x.y-v1%3A0/converse-stream"
        #expect(try path(arn) == ["bedrock-runtime.us-east-1.amazonaws.com", encoded])
        let china = try path("m") { $0.options.values["region"] = "cn-north-1" }
        #expect(china[0] == "bedrock-runtime.cn-north-1.amazonaws.com.cn")
        let own = try path("m") { $0.baseURL = "http://127.0.0.1:9/aws/" }
        #expect(own == ["127.0.0.1", "/aws/model/m/converse-stream"])
        for name in ["", ".", ".."] { #expect(throws: ParleyError.self) { _ = try path(name) } }
    }

    @Test("Settings that cannot work are refused by their names")
    func settings() {
        func fault(_ values: JSONObject, keys: [String] = []) -> String? {
            var setup = ProviderSetup(name: "aws", kind: "bedrock")
            setup.options.values = values
            setup.apiKeys = keys
            do throws(ProviderError) {
                _ = try BedrockProvider(setup)
                return nil
            } catch {
                return error.setting
            }
        }
        #expect(fault([:]) == "region")
        #expect(fault(["region": "us east"], keys: ["k"]) == "region")
        #expect(fault(["region": "evil.example/"], keys: ["k"]) == "region")
        #expect(fault(["region": "us-east-1"]) == "access_key")
        #expect(fault(["region": "us-east-1", "access_key": "a"]) == "secret_key")
        #expect(fault(["region": "us-east-1", "access_key": "a\r\nb", "secret_key": "s"]) == "access_key")
        #expect(fault(["region": "us-east-1", "access_key": "a", "secret_key": "s", "session_token": ""]) == nil)
        #expect(fault(["region": "us-east-1"], keys: ["k"]) == nil)
    }

    @Test("Models are listed where they can be asked, with the region's profiles")
    func models() async throws {
        let foundation = """
            {"modelSummaries":[{"modelId":"amazon.nova-pro-v1:0","providerName":"Amazon","outputModalities":["TEXT"],
            "inferenceTypesSupported":["ON_DEMAND"]},{"modelId":"amazon.titan-image","outputModalities":["IMAGE"]},
            {"modelId":"anthropic.claude-x","outputModalities":["TEXT"],
            "inferenceTypesSupported":["INFERENCE_PROFILE"]},
            {"other":1}]}
            """
        let profiles = #"{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-x"}]}"#
        let provider = try BedrockProvider(Self.setup()) { 1_750_000_000 }
        let connector = FakeConnector(.json(foundation), .json(profiles))
        let listed = try await provider.models(connector)
        #expect(listed.map(\.id) == ["amazon.nova-pro-v1:0", "us.anthropic.claude-x"])
        #expect(listed.first?.ownedBy == "Amazon")
        #expect(
            connector.heads[0].hasPrefix("GET /foundation-models HTTP/1.1\r\nhost: bedrock.us-east-1.amazonaws.com\r\n")
        )
        #expect(connector.heads[0].contains("SignedHeaders=host;x-amz-date,"))
        #expect(
            connector.heads[1].hasPrefix("GET /inference-profiles?maxResults=1000&type=SYSTEM_DEFINED HTTP/1.1\r\n"))
        let refused = FakeConnector(.json(foundation), .json(#"{"message":"no"}"#, status: 403))
        #expect(try await provider.models(refused).count == 1)
        let failing = FakeConnector(.json(#"{"message":"no"}"#, status: 403))
        #expect(await thrown(by: ProviderSource(provider, setup: Self.setup()), failing)?.kind == .forbidden)
    }

    @Test("The environment makes a provider of an API key, or of AWS credentials where that is wished")
    func environment() throws {
        let key = Catalogue.environment(["AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_DEFAULT_REGION": "eu-west-1"])
        #expect(key.map(\.kind) == ["bedrock"])
        #expect(key.first?.options.values["region"] == "eu-west-1")
        #expect(key.first?.apiKeys == ["b"])
        var variables = ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"]
        variables["AWS_REGION"] = "us-west-2"
        #expect(Catalogue.environment(variables).isEmpty)
        variables["PARLEY_BEDROCK"] = "1"
        let setup = try #require(Catalogue.environment(variables).first)
        #expect(setup.options.values["session_token"] == "t")
        _ = try Registry.make(setup)
        variables["AWS_REGION"] = nil
        #expect(Catalogue.environment(variables).isEmpty)
    }
}

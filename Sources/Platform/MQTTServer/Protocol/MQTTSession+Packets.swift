// From bytes to packets, and what each packet means.

extension MQTTSession {
    /// Reads as many whole packets as it may; returns how many bytes are done with.
    mutating func proceed(_ bytes: UnsafeRawBufferPointer, at now: UInt64, _ orders: inout [MQTTOrder]) -> Int {
        var used = 0
        var isIncomplete = false
        do throws(MQTTReason) {
            while used < bytes.count, canProceed, !isIncomplete {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
                if let count = skip(rest, at: now) {
                    used += count
                    continue
                }
                guard let frame = try PacketFrame.read(rest) else {
                    isIncomplete = true
                    continue
                }
                if frame.totalBytes > limits.maxPacketBytes {
                    guard try beginSkipping(frame, rest) else {
                        isIncomplete = true
                        continue
                    }
                    continue
                }
                try expect(frame)
                guard rest.count >= frame.totalBytes else {
                    isIncomplete = true
                    continue
                }
                let body = UnsafeRawBufferPointer(rebasing: rest[frame.headerBytes..<frame.totalBytes])
                used += frame.totalBytes
                packetBeganAt = nil
                try packet(frame, body, &orders)
            }
        } catch {
            orders.append(fail(error))
            return bytes.count
        }
        if isIncomplete, packetBeganAt == nil { packetBeganAt = now }
        return used
    }

    /// Ends the connection in the words of its phase.
    private mutating func fail(_ reason: MQTTReason) -> MQTTOrder {
        if let connect = connection { return end(reason, text: reason.hint, connect) }
        return close(reason)
    }

    /// Before CONNECT nothing else is waited for, however long it claims to be.
    private func expect(_ frame: PacketFrame) throws(MQTTReason) {
        guard phase == .awaitingConnect else { return }
        guard frame.type == .connect else { throw .protocolError }
    }

    // MARK: Packets that are too large

    /// Drops bytes of the packet being skipped; nil while there is none.
    private mutating func skip(_ bytes: UnsafeRawBufferPointer, at now: UInt64) -> Int? {
        guard var current = skipped, let connect = connection else { return nil }
        let count = min(current.remainingBytes, bytes.count)
        current.remainingBytes -= count
        skipped = current
        if current.remainingBytes == 0 {
            skipped = nil
            packetBeganAt = nil
            let text = "The packet is too large."
            pending.append(Pending(identifier: current.identifier, verdict: .rejected(.packetTooLarge, text: text)))
            settle(connect, at: now)
        }
        return count
    }

    /// A 3.1.1 client that sends too large a report cannot be told, and would send it for ever: it is read over and
    /// acknowledged as rejected. False: too little of it is there to know its identifier.
    private mutating func beginSkipping(_ frame: PacketFrame, _ rest: UnsafeRawBufferPointer) throws(MQTTReason) -> Bool
    {
        guard let connect = connection, connect.version == .v311, frame.type == .publish,
            frame.totalBytes <= limits.maxSkippedBytes
        else { throw .packetTooLarge }
        let there = UnsafeRawBufferPointer(rebasing: rest[frame.headerBytes...].prefix(frame.bodyBytes))
        guard there.count >= 2 else { return false }
        let needed = 2 + Int(there[0]) << 8 + Int(there[1]) + 2
        guard there.count >= min(needed, frame.bodyBytes) else { return false }
        let publish = try PublishPacket.read(there, flags: frame.flags, version: connect.version)
        count(publish)
        packetBeganAt = nil
        skipped = Skipped(remainingBytes: frame.totalBytes, identifier: publish.identifier)
        return true
    }

    // MARK: Packets

    private mutating func packet(
        _ frame: PacketFrame, _ body: UnsafeRawBufferPointer, _ orders: inout [MQTTOrder]
    ) throws(MQTTReason) {
        guard let connect = connection else {
            do throws(ConnectRefusal) {
                let connect = try MQTTConnect.read(body, limits: limits)
                phase = .awaitingAdmission(connect)
                orders.append(.admit(connect))
            } catch {
                writer.connectRefused(error)
                orders.append(close(error.reason))
            }
            return
        }
        switch frame.type {
        case .publish: try publish(frame, body, connect, &orders)
        case .pingRequest:
            guard body.isEmpty else { throw .malformedPacket }
            writer.pingAnswered()
        case .disconnect:
            try checkDisconnect(body, connect)
            orders.append(close(.success))
        case .subscribe:
            let packet = try FilterPacket.read(body, isSubscribe: true, version: connect.version)
            writer.subscribeRefused(packet, version: connect.version)
        case .unsubscribe:
            let packet = try FilterPacket.read(body, isSubscribe: false, version: connect.version)
            writer.unsubscribed(packet, version: connect.version)
        case .connect, .connectAcknowledgement, .publishAcknowledgement, .publishReceived, .publishRelease,
            .publishComplete, .subscribeAcknowledgement, .unsubscribeAcknowledgement, .pingResponse, .authenticate:
            throw .protocolError
        }
    }

    private mutating func publish(
        _ frame: PacketFrame, _ body: UnsafeRawBufferPointer, _ connect: MQTTConnect, _ orders: inout [MQTTOrder]
    ) throws(MQTTReason) {
        let packet = try PublishPacket.read(body, flags: frame.flags, version: connect.version)
        if let identifier = packet.identifier, pending.contains(where: { $0.identifier == identifier }) {
            // The identifier is in use. Sent again while the first is under way: its one answer is for both. A second
            // PUBACK could acknowledge whatever the client sends under this identifier next.
            guard packet.isDuplicate else { throw .protocolError }
            return
        }
        count(packet)
        let ticket = firstTicket + Int64(pending.count)
        pending.append(Pending(identifier: packet.identifier, verdict: nil))
        orders.append(
            .publish(
                MQTTPublish(
                    ticket: ticket, topic: packet.topic, payload: Array(packet.payload), qos: packet.qos,
                    isRetained: packet.isRetained)))
    }

    private mutating func count(_ packet: PublishPacket) {
        counts.published += 1
        if packet.qos == 0 { counts.publishedWithoutAnswer += 1 }
    }

    /// In 3.1.1 it is empty; in 5 a reason and properties may follow (§3.14).
    private func checkDisconnect(_ body: UnsafeRawBufferPointer, _ connect: MQTTConnect) throws(MQTTReason) {
        guard connect.version == .v5 else {
            guard body.isEmpty else { throw .malformedPacket }
            return
        }
        guard !body.isEmpty else { return }
        var reader = PacketReader(body)
        _ = try reader.byte()
        if reader.remaining > 0 { _ = try Properties.read(&reader, in: .disconnect) }
        try reader.finish()
    }
}

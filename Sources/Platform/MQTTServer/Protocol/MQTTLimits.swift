// Every limit of one MQTT connection, with its unit and what happens at it (I7).

package struct MQTTLimits: Sendable, Equatable {
    /// A whole packet. MQTT 5 clients are told; one that sends more is disconnected (0x95). A 3.1.1 client cannot be
    /// told, and would send the same packet for ever: up to `maxSkippedBytes` its packet is skipped and answered as
    /// rejected.
    package var maxPacketBytes: Int
    package var maxSkippedBytes: Int
    /// Publishes of one connection that are not answered yet. MQTT 5 clients are told (Receive Maximum); beyond it
    /// nothing more is read from a connection until one is answered.
    package var receiveMaximum: Int
    /// A connection without CONNECT is closed after this.
    package var connectSeconds: Double
    /// A packet that began must be complete after this, or the connection is closed.
    package var packetSeconds: Double
    /// The longest keep-alive. MQTT 5 clients that ask for more or none are told this one; a 3.1.1 client that asks
    /// for none is disconnected after `idleSeconds` of silence.
    package var maxKeepAliveSeconds: Int
    package var idleSeconds: Double
    /// The longest a connection is held back before it is closed because a report cannot be taken now.
    package var maxDelaySeconds: Double
    /// Answers that the client does not read: beyond this nothing more is read from it.
    package var maxOutputBytes: Int
    package var clientIdentifierBytes: Int

    package init(
        maxPacketBytes: Int = (256 << 10) + (4 << 10), maxSkippedBytes: Int = 16 << 20, receiveMaximum: Int = 64,
        connectSeconds: Double = 5, packetSeconds: Double = 60, maxKeepAliveSeconds: Int = 600,
        idleSeconds: Double = 3600, maxDelaySeconds: Double = 10, maxOutputBytes: Int = 16 << 10,
        clientIdentifierBytes: Int = 256
    ) {
        precondition((1...65_535).contains(receiveMaximum), "Receive Maximum is a 16-bit number above 0")
        precondition((1...65_535).contains(maxKeepAliveSeconds), "Server Keep Alive is a 16-bit number above 0")
        precondition(maxPacketBytes >= 1024 && maxSkippedBytes >= maxPacketBytes, "a packet has room for its header")
        precondition(maxSkippedBytes < PacketFrame.longestBytes, "longer packets do not exist")
        self.maxPacketBytes = maxPacketBytes
        self.maxSkippedBytes = maxSkippedBytes
        self.receiveMaximum = receiveMaximum
        self.connectSeconds = connectSeconds
        self.packetSeconds = packetSeconds
        self.maxKeepAliveSeconds = maxKeepAliveSeconds
        self.idleSeconds = idleSeconds
        self.maxDelaySeconds = maxDelaySeconds
        self.maxOutputBytes = maxOutputBytes
        self.clientIdentifierBytes = clientIdentifierBytes
    }
}

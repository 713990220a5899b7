"""The audio of one call over RTP, beside any signalling: SDP, RTP, RTCP, SRTP and keys."""

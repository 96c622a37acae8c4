// The numbers of the framing layer (AMQP 0-9-1 §4.2.3). A test holds them against spec/amqp.ts.

export const FRAME_METHOD = 1
export const FRAME_HEADER = 2
export const FRAME_BODY = 3
export const FRAME_HEARTBEAT = 8

/** The octet that ends every frame. */
export const FRAME_END = 206

/** Type, channel and payload size, in front of the payload. */
export const FRAME_HEADER_BYTES = 7
/** What a frame is longer than its payload: the header and the end octet. */
export const FRAME_OVERHEAD_BYTES = 8
/** The fixed part of a content header's payload: class, weight and body size. */
export const CONTENT_HEADER_FIXED_BYTES = 12

/** ICMP echo requests over IPv4 for tests (RFC 792, RFC 791). */

const checksum = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** A whole IPv4 packet with an echo request of `data` octets. */
export const icmpEcho = (from: number[], to: number[], sequence: number, data: number): Uint8Array => {
  const packet = new Uint8Array(28 + data);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  packet[8] = 64;
  packet[9] = 1;
  packet.set(from, 12);
  packet.set(to, 16);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  packet[20] = 8;
  view.setUint16(24, 0xe5);
  view.setUint16(26, sequence);
  for (let i = 28; i < packet.length; i++) packet[i] = i;
  view.setUint16(22, checksum(packet.subarray(20)));
  return packet;
};

/** Turn an echo request into its reply, in place. */
export const answerEcho = (packet: Uint8Array): Uint8Array => {
  const from = Uint8Array.from(packet.subarray(12, 16)); // a Buffer's slice would be a view
  packet.copyWithin(12, 16, 20);
  packet.set(from, 16);
  packet[20] = 0;
  packet.fill(0, 22, 24);
  new DataView(packet.buffer, packet.byteOffset).setUint16(22, checksum(packet.subarray(20)));
  return packet;
};

export const isIcmp = (packet: Uint8Array, type: number): boolean =>
  packet[0] === 0x45 && packet[9] === 1 && packet[20] === type;

export const isEchoReply = (packet: Uint8Array): boolean => isIcmp(packet, 0);

export const sequenceOf = (packet: Uint8Array): number => (packet[26]! << 8) | packet[27]!;

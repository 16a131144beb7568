/** The slow model of classic BPF: runs a program the kernel's way, for the instructions that we use. */
export const runBpf = (program: Uint8Array, packet: Uint8Array): number => {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const word = (at: number): number | undefined =>
    at + 4 <= packet.length ? new DataView(packet.buffer, packet.byteOffset).getUint32(at) : undefined;
  let a = 0;
  let x = 0;
  for (let pc = 0; pc * 8 < program.length; pc++) {
    const code = view.getUint16(pc * 8, true);
    const jump = (taken: boolean): number => view.getUint8(pc * 8 + (taken ? 2 : 3));
    const k = view.getUint32(pc * 8 + 4, true);
    if (code === 0x80) a = packet.length;
    else if (code === 0x20 || code === 0x40) {
      const value = word(code === 0x40 ? x + k : k);
      if (value === undefined) return 0;
      a = value;
    } else if (code === 0xb1) {
      if (k >= packet.length) return 0;
      x = (packet[k]! & 0x0f) * 4;
    } else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x94) a %= k;
    else if (code === 0x04) a = (a + k) >>> 0;
    else if (code === 0x15) pc += jump(a === k);
    else if (code === 0x35) pc += jump(a >= k);
    else if (code === 0x06) return k;
    else if (code === 0x16) return a;
    else throw new RangeError(`instruction ${code.toString(16)}`);
  }
  throw new RangeError("ran off the end");
};

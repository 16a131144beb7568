/**
 * Sends messages from where no answer can go: to the IKE port bare and to the NAT-T port behind the marker, as an ESP packet
 * too, over IPv4 and IPv6 from PORT (which a rule makes 0 on the way), and over IPv6 from the link-local address of DEVICE.
 *
 *   node odd-sources.mjs DEVICE PORT TARGET4 TARGET6 MESSAGE_HEX...
 *
 * Prints how many it has sent from PORT, and from the link-local address.
 */
import { createSocket } from "node:dgram";
import { networkInterfaces } from "node:os";

const [device, port, target4, target6, ...messages] = process.argv.slice(2);

const PATIENCE = 100; // times 100 ms

/** A new link's address is not used until the kernel has found that nobody else has it (RFC 4862 §5.4), for a second or two. */
const linkLocal = async (tries = PATIENCE) => {
  const found = networkInterfaces()[device]?.find(({ address }) => address.startsWith("fe80:"))?.address;
  if (found !== undefined && (await canBind(found))) return found;
  if (tries === 0) throw new Error(`${device} has no link-local address that can be used`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  return linkLocal(tries - 1);
};

const canBind = (address) =>
  new Promise((resolve) => {
    const socket = createSocket("udp6");
    socket.once("error", () => socket.close(() => resolve(false)));
    socket.bind(0, `${address}%${device}`, () => socket.close(() => resolve(true)));
  });

/** Datagrams and their ports. */
const datagrams = messages
  .map((hex) => Buffer.from(hex, "hex"))
  .flatMap((bytes) => [
    [bytes, 500],
    [Buffer.concat([Buffer.alloc(4), bytes]), 4500],
  ]);

const sendAll = (type, from, fromPort, target) =>
  new Promise((resolve, reject) => {
    const socket = createSocket(type);
    socket.once("error", reject);
    socket.bind(fromPort, from, async () => {
      for (const [bytes, to] of datagrams)
        await new Promise((sent, failed) => {
          socket.send(bytes, to, target, (error) => (error ? failed(error) : sent()));
        });
      socket.close(() => resolve(datagrams.length));
    });
  });

const fromPort = [
  await sendAll("udp4", "0.0.0.0", Number(port), target4),
  await sendAll("udp6", "::", Number(port), target6),
];
const fromLink = await sendAll("udp6", `${await linkLocal()}%${device}`, 0, target6);
process.stdout.write(JSON.stringify({ fromPort: fromPort[0] + fromPort[1], fromLink }));

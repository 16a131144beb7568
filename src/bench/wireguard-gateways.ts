/** Two gateways of wireguard-go, another tunnel in userspace: ChaCha20-Poly1305, no IKE. */
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { hasProgram, type Running } from "./processes.ts";
import { INNER, OUTER } from "./sites.ts";
import { farOf, gatewayOf, SIDES, type Side, type TunnelGateways, type TunnelPlace } from "./tunnel-gateways.ts";

const PORT = 51_820;
const MTU = 1420; // what WireGuard leaves of 1500

/** Why they cannot run here, or undefined. */
export const wireguardUnavailable = (): string | undefined => {
  if (!hasProgram("wireguard-go")) return "wireguard-go is not installed (Debian: wireguard-go)";
  if (!hasProgram("wg")) return "wg is not installed (Debian: wireguard-tools)";
  return undefined;
};

export const startWireguard = async ({ processes, sites, directory }: TunnelPlace): Promise<TunnelGateways> => {
  const keys = { a: keyPair(), b: keyPair() };
  const gateways: { readonly side: Side; readonly process: Running }[] = SIDES.map((side) => {
    // Its socket would be where one of the system's may be: a /run/wireguard of its own.
    const script = "mkdir -p /run/wireguard && mount -t tmpfs tmpfs /run/wireguard && exec wireguard-go -f wg0";
    const environment = ["env", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1", "LOG_LEVEL=error"];
    const command = [...environment, "unshare", "-m", "--propagation", "private", "sh", "-c", script];
    return { side, process: processes.start(sites.inside(gatewayOf(side), command)) };
  });
  for (const { side, process } of gateways) {
    await processes.until("wireguard-go has its interface", async () => {
      if (!process.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `wireguard-go ended: ${process.account}`);
      return processes.run(within(process, ["wg", "show", "wg0"])).then(
        () => true,
        () => undefined, // not yet
      );
    });
    const far = farOf(side);
    const file = join(directory, `wireguard-${side}.key`);
    writeFileSync(file, keys[side].secret, { mode: 0o600 });
    await processes.run(
      within(process, [
        ...["wg", "set", "wg0", "listen-port", `${PORT}`, "private-key", file],
        ...["peer", keys[far].public, "endpoint", `${OUTER[far]}:${PORT}`],
        ...["allowed-ips", far === "a" ? INNER.netA : INNER.netB],
      ]),
    );
    await processes.run(within(process, ["ip", "link", "set", "wg0", "mtu", `${MTU}`, "up"]));
    await processes.run(within(process, ["ip", "route", "add", far === "a" ? INNER.netA : INNER.netB, "dev", "wg0"]));
  }
  const version = await processes.run(["wireguard-go", "--version"]);
  return {
    processes: gateways.map(({ process }) => process),
    describe: async () => ({
      suite: "chacha20poly1305",
      engine: version.split("\n", 1)[0]!.trim(),
      workers: null,
    }),
  };
};

/** A command in the mount and network namespaces of the gateway. */
const within = ({ pid }: Running, command: readonly string[]): string[] => [
  ...["nsenter", "-t", `${pid}`, "-m", "-n", "--"],
  ...command,
];

/** As wg takes them: the raw X25519 keys in base64. */
const keyPair = (): { readonly secret: string; readonly public: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const raw = (value: string | undefined): string => Buffer.from(value ?? "", "base64url").toString("base64");
  return { secret: raw(privateKey.export({ format: "jwk" }).d), public: raw(publicKey.export({ format: "jwk" }).x) };
};

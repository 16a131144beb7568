/**
 * Two strongSwan gateways with ESP in userspace as well (kernel-libipsec: always in UDP), their /run and /etc in mount
 * namespaces of their own.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { hasProgram, type Running } from "./processes.ts";
import { INNER, OUTER } from "./sites.ts";
import { farOf, gatewayOf, SIDES, type Side, type TunnelGateways, type TunnelPlace } from "./tunnel-gateways.ts";

/** The first plugin that has an algorithm gives it; kernel-libipsec stands before kernel-netlink, which minds the routes. */
const PLUGINS =
  "random nonce openssl aes sha1 sha2 hmac kdf gcm drbg pem pkcs1 pkcs8 x509 pubkey constraints " +
  "kernel-libipsec kernel-netlink socket-default vici";

const LIBIPSEC = [
  "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so",
  "/usr/lib64/ipsec/plugins/libstrongswan-kernel-libipsec.so",
];

/** Why they cannot run here, or undefined. */
export const strongswanUnavailable = (): string | undefined => {
  if (!hasProgram("charon-systemd")) return "charon-systemd is not installed (Debian: charon-systemd)";
  if (!hasProgram("swanctl")) return "swanctl is not installed (Debian: strongswan-swanctl)";
  if (!LIBIPSEC.some((file) => existsSync(file)))
    return "strongSwan's plugin kernel-libipsec is not installed (Debian: libcharon-extra-plugins)";
  return undefined;
};

export const startStrongswan = async (
  { processes, sites, directory }: TunnelPlace,
  { suite }: { readonly suite: string },
): Promise<TunnelGateways> => {
  const psk = `0x${randomBytes(32).toString("hex")}`;
  const gateways: { readonly process: Running; readonly run: string }[] = [];
  for (const side of SIDES) {
    const folder = join(directory, `strongswan-${side}`);
    const run = join(folder, "run");
    mkdirSync(run, { recursive: true });
    mkdirSync(join(folder, "swanctl"));
    writeFileSync(join(folder, "strongswan.conf"), charonConf());
    writeFileSync(join(folder, "swanctl/swanctl.conf"), swanctlConf(side, suite, psk), { mode: 0o600 });
    const mounts = [
      `mount --bind '${run}' /run`,
      `mount --bind '${folder}/strongswan.conf' /etc/strongswan.conf`,
      `mount --bind '${folder}/swanctl' /etc/swanctl`,
    ].join(" && ");
    // nsenter, unshare and sh become the program in turn, so its pid is the program's.
    const command = ["unshare", "-m", "--propagation", "private", "sh", "-c", `${mounts} && exec charon-systemd`];
    gateways.push({ process: processes.start(sites.inside(gatewayOf(side), command)), run });
  }
  for (const { process, run } of gateways) {
    await processes.until("charon listens", () => {
      if (!process.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `charon ended: ${process.account}`);
      return existsSync(join(run, "charon.vici")) ? true : undefined;
    });
    await processes.until("charon answers", () => swanctl(process, "--load-all"));
  }
  const swanctl_ = (words: readonly string[]): Promise<string> =>
    processes.run(inside(gateways[0]!.process, words), 20_000);
  async function swanctl(process: Running, word: string): Promise<string | undefined> {
    try {
      return await processes.run(inside(process, [word]));
    } catch {
      return undefined; // not yet
    }
  }
  await swanctl_(["--initiate", "--child", "net", "--timeout", "15"]);
  return {
    processes: gateways.map(({ process }) => process),
    describe: async () => {
      const version = await swanctl_(["--version"]);
      return { suite, engine: `strongSwan ${/[\d.]+/.exec(version)?.[0] ?? ""} kernel-libipsec`, workers: null };
    },
  };
};

/** swanctl inside charon's own namespaces. */
const inside = ({ pid }: Running, words: readonly string[]): string[] => [
  ...["nsenter", "-t", `${pid}`, "-m", "-n", "-r", "--", "swanctl"],
  ...words,
];

const charonConf = (): string => `charon {
  load = ${PLUGINS}
  install_routes = yes
  plugins {
    vici { socket = unix:///run/charon.vici }
  }
}
swanctl {
  load = openssl pem pkcs1 pkcs8 x509 random
  plugins { vici { socket = unix:///run/charon.vici } }
}
`;

const swanctlConf = (side: Side, suite: string, psk: string): string => `connections {
  net {
    version = 2
    local_addrs = ${OUTER[side]}
    remote_addrs = ${OUTER[farOf(side)]}
    proposals = aes256gcm16-prfsha256-ecp256
    encap = yes
    mobike = no
    rekey_time = 0
    local {
      auth = psk
      id = ${OUTER[side]}
    }
    remote {
      auth = psk
      id = ${OUTER[farOf(side)]}
    }
    children {
      net {
        local_ts = ${side === "a" ? INNER.netA : INNER.netB}
        remote_ts = ${side === "a" ? INNER.netB : INNER.netA}
        esp_proposals = ${suite}
        rekey_time = 0
      }
    }
  }
}
secrets {
  ike-net {
    id-1 = ${OUTER[side]}
    id-2 = ${OUTER[farOf(side)]}
    secret = ${psk}
  }
}
`;

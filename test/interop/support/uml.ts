/** A Linux kernel as a peer: the kernel's own ESP and VTI in User-Mode Linux, strongSwan above it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { INNER, type Namespace, OUTER } from "./namespaces.ts";
import type { Outcome } from "./run.ts";
import { CONNECTION, parseSas, type SwanConnection, type SwanSa, strongswanConf, swanctlConf } from "./swanctl.ts";
import type { TestBed } from "./test-bed.ts";
import { UmlGuest } from "./uml-guest.ts";

const PLUGINS =
  "random nonce openssl aes sha1 sha2 hmac kdf gcm chapoly drbg curve25519 pem pkcs1 pkcs8 x509 pubkey constraints " +
  "kernel-netlink socket-default vici";

const VTI_MARK = 42;

/** Lines of a child that tie it to the guest's VTIs. */
export const VTI_CHILD: readonly string[] = [`mark_in = ${VTI_MARK}`, `mark_out = ${VTI_MARK}`];

const start = (directory: string): string => {
  writeFileSync(
    join(directory, "strongswan.conf"),
    strongswanConf({ plugins: PLUGINS, log: "/run/charon.log", installRoutes: false, vici: "/run/charon.vici" }),
  );
  return `
ip link add vti0 type vti local ${OUTER[4].b} remote ${OUTER[4].a} key ${VTI_MARK}
echo 1 >/proc/sys/net/ipv4/conf/vti0/disable_policy
ip link set vti0 up mtu 1400
ip link add vti6 type vti6 local ${OUTER[6].b} remote ${OUTER[6].a} key ${VTI_MARK}
echo 1 >/proc/sys/net/ipv4/conf/vti6/disable_policy
echo 1 >/proc/sys/net/ipv6/conf/vti6/disable_policy
ip link set vti6 up mtu 1400
mkdir -p /run/c/swanctl
mount --bind /run/c/swanctl /etc/swanctl
mount --bind '${directory}/strongswan.conf' /etc/strongswan.conf
charon-systemd &`;
};

export class Uml extends UmlGuest {
  readonly name = "Linux in User-Mode Linux";

  /** Booted in the namespace that has the TAP device, with charon running. */
  static async start(bed: TestBed, space: Namespace): Promise<Uml> {
    const peer = new Uml(bed, space, { start, isReady: "swanctl --stats", log: "cat /run/charon.log" });
    await peer.booted();
    return peer;
  }

  /** Takes this connection in the place of the one before, and leads the other site's networks into the VTI of its family. */
  async load(connection: SwanConnection): Promise<void> {
    const vti = connection.local.includes(":") ? "vti6" : "vti0";
    for (const family of [4, 6] as const)
      await this.shell(`ip route replace ${INNER[family].netA} dev ${vti} src ${INNER[family].hostB}`);
    const text = swanctlConf(connection);
    await this.shell(
      `cat >/etc/swanctl/swanctl.conf <<'END_OF_CONF'\n${text}\nEND_OF_CONF\nswanctl --load-all --clear`,
    );
  }

  initiate(patience = 15): Promise<Outcome> {
    return this.shell(`swanctl --initiate --child ${CONNECTION} --timeout ${patience}`, { mayFail: true });
  }

  rekey({ ike = false }: { ike?: boolean } = {}): Promise<Outcome> {
    return this.shell(`swanctl --rekey ${ike ? "--ike" : "--child"} ${CONNECTION}`);
  }

  terminate(): Promise<Outcome> {
    return this.shell(`swanctl --terminate --ike ${CONNECTION} --timeout 10`, { mayFail: true });
  }

  async sas(): Promise<SwanSa[]> {
    return parseSas((await this.shell("swanctl --list-sas --raw")).stdout);
  }
}

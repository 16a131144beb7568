/**
 * A Linux kernel as a peer: User-Mode Linux with the kernel's own ESP and VTI, strongSwan above it. The guest sees the
 * host's files read-only, stands at gateway B's place on the TAP device `to-b`, and holds the address that host B has
 * elsewhere on its loopback. Commands reach its inside through a shell that listens at its outer address.
 */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { INNER, type Namespace, OUTER } from "./namespaces.ts";
import { UML_MODULES } from "./requirements.ts";
import { type Background, type Outcome, type RunOptions, until } from "./run.ts";
import { CONNECTION, parseSas, type SwanConnection, type SwanSa, strongswanConf, swanctlConf } from "./swanctl.ts";
import type { TestBed, Witness } from "./test-bed.ts";
import type { Place } from "./traffic.ts";

const PLUGINS =
  "random nonce openssl aes sha1 sha2 hmac kdf gcm chapoly drbg curve25519 pem pkcs1 pkcs8 x509 pubkey constraints " +
  "kernel-netlink socket-default vici";

const MODULES =
  "ctr gcm ghash-generic seqiv echainiv cbc authenc authencesn chacha20poly1305 chacha_generic poly1305_generic drbg " +
  "jitterentropy_rng hmac sha256_generic sha512_generic ccm cmac xcbc esp4 esp6 xfrm_user ipv6 ip_vti ip6_vti sch_netem";

const SHELL_PORT = 1023;
const VTI_MARK = 42;

/** Lines of a child that tie it to the guest's VTIs. */
export const VTI_CHILD: readonly string[] = [`mark_in = ${VTI_MARK}`, `mark_out = ${VTI_MARK}`];

const init = (directory: string, modules: string): string => `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
printf '#!/bin/sh\\nexec /sbin/modprobe -d ${modules} "$@"\\n' >/run/modprobe
chmod 755 /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a ${MODULES}
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter
echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra
ip link set lo up
ip link set vec0 up
ip addr add ${OUTER[4].b}/24 dev vec0
ip addr add ${OUTER[6].b}/64 dev vec0 nodad
ip route add default via ${OUTER[4].routerB}
ip route add default via ${OUTER[6].routerB}
ip addr add ${INNER[4].hostB}/32 dev lo
ip addr add ${INNER[6].hostB}/128 dev lo nodad
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
charon-systemd &
socat -t 600 TCP-LISTEN:${SHELL_PORT},reuseaddr,fork EXEC:/bin/bash &
exec sleep infinity
`;

let count = 0;

export class Uml implements Witness, Place {
  readonly name = "Linux in User-Mode Linux";
  readonly #directory: string;
  readonly #space: Namespace;
  readonly #process: Background;

  private constructor(bed: TestBed, space: Namespace) {
    this.#space = space;
    this.#directory = join(bed.directory, `uml-${count++}`);
    const [version = ""] = readdirSync(UML_MODULES);
    mkdirSync(join(this.#directory, "lib/modules"), { recursive: true });
    symlinkSync(join(UML_MODULES, version), join(this.#directory, "lib/modules", version));
    const initFile = join(this.#directory, "init");
    writeFileSync(initFile, init(this.#directory, this.#directory));
    chmodSync(initFile, 0o755);
    writeFileSync(
      join(this.#directory, "strongswan.conf"),
      strongswanConf({ plugins: PLUGINS, log: "/run/charon.log", installRoutes: false, vici: "/run/charon.vici" }),
    );
    this.#process = space.background(
      [
        "linux.uml",
        "mem=256M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        `init=${initFile}`,
        "vec0:transport=tap,ifname=to-b,depth=128,gro=1",
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
      ],
      join(this.#directory, "console"),
    );
    bed.watch(this);
    bed.defer(async () => {
      bed.forget(this);
      await this.end();
    });
  }

  /** Booted in the namespace that has the TAP device, with charon running. */
  static async start(bed: TestBed, space: Namespace): Promise<Uml> {
    const peer = new Uml(bed, space);
    await until(
      "User-Mode Linux has booted",
      async () => {
        if (!peer.#process.isRunning) throw new Error(`User-Mode Linux ended:\n${peer.#process.log}`);
        const { stdout } = await peer.#shell("swanctl --stats >/dev/null && echo ready", { timeout: 3_000 });
        return stdout.includes("ready") ? true : undefined;
      },
      30_000,
    );
    return peer;
  }

  get log(): string {
    const inside = this.#process.isRunning
      ? this.#space.run(["timeout", "5", "socat", "-t5", "-", this.#shellAddress], {
          input: "cat /run/charon.log; ip -s xfrm state; cat /proc/net/xfrm_stat\n",
          mayFail: true,
        }).stdout
      : "";
    return `${this.#process.log}${inside.replaceAll(/(0x[0-9a-f]{8})[0-9a-f]{8,}/g, "$1…")}`;
  }

  /** A command inside the guest, as its root. */
  async runAsync(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return this.#shell(quoted, options);
  }

  /** Takes this connection in the place of the one before, and leads the other site's networks into the VTI of its family. */
  async load(connection: SwanConnection): Promise<void> {
    const vti = connection.local.includes(":") ? "vti6" : "vti0";
    for (const family of [4, 6] as const)
      await this.#shell(`ip route replace ${INNER[family].netA} dev ${vti} src ${INNER[family].hostB}`);
    const text = swanctlConf(connection);
    await this.#shell(
      `cat >/etc/swanctl/swanctl.conf <<'END_OF_CONF'\n${text}\nEND_OF_CONF\nswanctl --load-all --clear`,
    );
  }

  initiate(patience = 15): Promise<Outcome> {
    return this.#shell(`swanctl --initiate --child ${CONNECTION} --timeout ${patience}`, { mayFail: true });
  }

  rekey({ ike = false }: { ike?: boolean } = {}): Promise<Outcome> {
    return this.#shell(`swanctl --rekey ${ike ? "--ike" : "--child"} ${CONNECTION}`);
  }

  terminate(): Promise<Outcome> {
    return this.#shell(`swanctl --terminate --ike ${CONNECTION} --timeout 10`, { mayFail: true });
  }

  async sas(): Promise<SwanSa[]> {
    return parseSas((await this.#shell("swanctl --list-sas --raw")).stdout);
  }

  /** What the kernel itself holds: `ip xfrm state`, keys and all. */
  async states(): Promise<string> {
    return (await this.#shell("ip -s xfrm state")).stdout;
  }

  async end(): Promise<void> {
    if (this.#process.isRunning)
      await this.#shell("echo o >/proc/sysrq-trigger; poweroff -f", { mayFail: true, timeout: 3_000 });
    await this.#process.end("SIGKILL");
  }

  get #shellAddress(): string {
    return `TCP4:${OUTER[4].b}:${SHELL_PORT},connect-timeout=1`;
  }

  async #shell(script: string, options: RunOptions = {}): Promise<Outcome> {
    const input = `exec 2>/run/errors.$$; { ${script}\n} </dev/null; s=$?; echo; echo "status $s"; cat /run/errors.$$; exit\n`;
    const timeout = options.timeout ?? 60_000;
    const raw = await this.#space.runAsync(
      ["timeout", String(timeout / 1000), "socat", `-t${timeout / 1000}`, "-", this.#shellAddress],
      { input, mayFail: true, timeout: timeout + 2_000 },
    );
    const [, stdout = "", status, stderr = ""] = /^(.*)\nstatus (\d+)\n(.*)$/s.exec(raw.stdout) ?? [];
    const outcome = { status: status === undefined ? null : Number(status), stdout, stderr: stderr || raw.stderr };
    if (outcome.status !== 0 && options.mayFail !== true && status !== undefined)
      throw new Error(`in User-Mode Linux: ${script}: status ${status}\n${stdout}${stderr}`);
    return outcome;
  }
}

/**
 * A Linux kernel in User-Mode Linux, for a peer that speaks IKEv2 for it. The guest sees the host's files read-only, stands
 * at gateway B's place on the TAP device `to-b`, and holds the address that host B has elsewhere on its loopback. Commands
 * reach its inside through a shell that listens at its outer address.
 */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { INNER, type Namespace, OUTER } from "./namespaces.ts";
import { UML_MODULES } from "./requirements.ts";
import { type Background, type Outcome, type RunOptions, until } from "./run.ts";
import type { TestBed, Witness } from "./test-bed.ts";
import type { Place } from "./traffic.ts";

const MODULES =
  "ctr gcm ghash-generic seqiv echainiv cbc authenc authencesn chacha20poly1305 chacha_generic poly1305_generic drbg " +
  "jitterentropy_rng hmac sha256_generic sha512_generic ccm cmac xcbc esp4 esp6 xfrm_user ipv6 ip_vti ip6_vti ip_gre sch_netem";

const SHELL_PORT = 1023;

const init = (modules: string, commands: string): string => `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
/sbin/modprobe -d ${modules} -a ${MODULES}
echo >/proc/sys/kernel/modprobe # a process for each algorithm that is looked for, and none there: it has them all
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
${commands}
socat -t 600 TCP-LISTEN:${SHELL_PORT},reuseaddr,fork EXEC:/bin/bash &
exec sleep infinity
`;

/** What is done inside: a shell's commands at the start, one that succeeds when it is ready, and one that prints its log. */
export interface Services {
  readonly start: (directory: string) => string;
  readonly isReady: string;
  readonly log: string;
}

let count = 0;

export abstract class UmlGuest implements Witness, Place {
  abstract readonly name: string;
  /** On the host, and seen inside under the same name. */
  protected readonly directory: string;
  readonly #space: Namespace;
  readonly #process: Background;
  readonly #services: Services;

  protected constructor(bed: TestBed, space: Namespace, services: Services) {
    this.#space = space;
    this.#services = services;
    this.directory = join(bed.directory, `uml-${count++}`);
    const [version = ""] = readdirSync(UML_MODULES);
    mkdirSync(join(this.directory, "lib/modules"), { recursive: true });
    symlinkSync(join(UML_MODULES, version), join(this.directory, "lib/modules", version));
    const initFile = join(this.directory, "init");
    writeFileSync(initFile, init(this.directory, services.start(this.directory)));
    chmodSync(initFile, 0o755);
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
      join(this.directory, "console"),
    );
    bed.watch(this);
    bed.defer(async () => {
      bed.forget(this);
      await this.end();
    });
  }

  /** Waits until it has booted in the namespace that has the TAP device, and its services run. */
  protected async booted(): Promise<void> {
    await until("User-Mode Linux has booted", async () => {
      if (!this.#process.isRunning) throw new Error(`User-Mode Linux ended:\n${this.#process.log}`);
      const { stdout } = await this.shell(`${this.#services.isReady} >/dev/null && echo ready`, {
        timeout: 3_000,
        mayFail: true,
      });
      return stdout.includes("ready") ? true : undefined;
    });
  }

  get log(): string {
    const inside = this.#process.isRunning
      ? this.#space.run(["timeout", "5", "socat", "-t5", "-", this.#shellAddress], {
          input: `${this.#services.log}; ip -s xfrm state; cat /proc/net/xfrm_stat\n`,
          mayFail: true,
        }).stdout
      : "";
    return `${this.#process.log}${inside.replaceAll(/(0x[0-9a-f]{8})[0-9a-f]{8,}/g, "$1…")}`;
  }

  /** A command inside the guest, as its root. */
  async runAsync(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return this.shell(quoted, options);
  }

  /** What the kernel itself holds: `ip xfrm state`, keys and all. */
  async states(): Promise<string> {
    return (await this.shell("ip -s xfrm state")).stdout;
  }

  /** What its ESP had to drop, by reason: /proc/net/xfrm_stat. */
  async xfrmErrors(): Promise<Readonly<Record<string, number>>> {
    const { stdout } = await this.shell("cat /proc/net/xfrm_stat");
    const rows = stdout.split("\n").flatMap((line) => {
      const [, name, count] = /^(Xfrm\w+)\s+(\d+)$/.exec(line.trim()) ?? [];
      return name === undefined ? [] : [[name, Number(count)] as const];
    });
    if (rows.length === 0) throw new Error(`/proc/net/xfrm_stat of User-Mode Linux: ${stdout || "nothing"}`);
    return Object.fromEntries(rows);
  }

  async end(): Promise<void> {
    if (this.#process.isRunning)
      await this.shell("echo o >/proc/sysrq-trigger; poweroff -f", { mayFail: true, timeout: 3_000 });
    await this.#process.end("SIGKILL");
  }

  get #shellAddress(): string {
    // Nothing was begun by one that did not connect: the guest may have waited for its processor.
    return `TCP4:${OUTER[4].b}:${SHELL_PORT},connect-timeout=2,retry=20,interval=0.2`;
  }

  protected async shell(script: string, options: RunOptions = {}): Promise<Outcome> {
    const input = `exec 2>/run/errors.$$; { ${script}\n} </dev/null; s=$?; echo; echo "status $s"; cat /run/errors.$$; exit\n`;
    const timeout = options.timeout ?? 60_000;
    const raw = await this.#space.runAsync(
      ["timeout", String(timeout / 1000), "socat", `-t${timeout / 1000}`, "-", this.#shellAddress],
      { input, mayFail: true, timeout: timeout + 2_000 },
    );
    const [, stdout = "", status, stderr = ""] = /^(.*)\nstatus (\d+)\n(.*)$/s.exec(raw.stdout) ?? [];
    const outcome = { status: status === undefined ? null : Number(status), stdout, stderr: stderr || raw.stderr };
    if (outcome.status !== 0 && options.mayFail !== true)
      throw new Error(
        `in User-Mode Linux: ${script}: status ${status ?? `none in ${timeout} ms`}\n${stdout}${outcome.stderr}`,
      );
    return outcome;
  }
}

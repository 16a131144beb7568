/**
 * strongSwan as a peer: charon-systemd with ESP in userspace (kernel-libipsec: always in UDP, no ESN, inner MTU 1400) in a
 * namespace, with /run and its configuration in a mount namespace of its own.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespaces.ts";
import { type Background, type Outcome, run, runAsync, until } from "./run.ts";
import { CONNECTION, parseSas, type SwanConnection, type SwanSa, strongswanConf, swanctlConf } from "./swanctl.ts";
import type { TestBed, Witness } from "./test-bed.ts";

/** The order decides which plugin gives an algorithm; kernel-libipsec stands before kernel-netlink, which minds routes. */
const PLUGINS =
  "random nonce openssl aes sha1 sha2 hmac kdf gcm chapoly drbg curve25519 pem pkcs1 pkcs8 x509 pubkey constraints " +
  "kernel-libipsec kernel-netlink socket-default vici";

const VICI = "/run/charon.vici";
let count = 0;

export class StrongSwan implements Witness {
  readonly name: string;
  readonly #directory: string;
  readonly #process: Background;

  private constructor(bed: TestBed, space: Namespace) {
    this.name = `strongSwan in ${space.name}`;
    this.#directory = join(bed.directory, `strongswan-${count++}`);
    mkdirSync(join(this.#directory, "run"), { recursive: true });
    mkdirSync(join(this.#directory, "swanctl"));
    const conf = join(this.#directory, "strongswan.conf");
    writeFileSync(conf, strongswanConf({ plugins: PLUGINS, log: "/run/charon.log", installRoutes: true, vici: VICI }));
    this.#configure("");
    const mounts = [
      `mount --bind '${this.#directory}/run' /run`,
      `mount --bind '${conf}' /etc/strongswan.conf`,
      `mount --bind '${this.#directory}/swanctl' /etc/swanctl`,
    ].join(" && ");
    this.#process = space.background(
      ["unshare", "-m", "--propagation", "private", "sh", "-c", `${mounts} && exec charon-systemd`],
      join(this.#directory, "output"),
    );
    bed.watch(this);
    bed.defer(async () => {
      bed.forget(this);
      await this.end();
    });
  }

  /** charon running, with one connection loaded when it is given. */
  static async start(bed: TestBed, space: Namespace, connection?: SwanConnection): Promise<StrongSwan> {
    const peer = new StrongSwan(bed, space);
    await until("charon listens", () => {
      if (!peer.#process.isRunning) throw new Error(`charon ended:\n${peer.#process.log}${peer.log}`);
      return existsSync(join(peer.#directory, "run/charon.vici")) && peer.swanctl("--stats").status === 0
        ? true
        : undefined;
    });
    if (connection !== undefined) peer.load(connection);
    return peer;
  }

  get log(): string {
    const file = join(this.#directory, "run/charon.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Takes this connection in the place of the one before; SAs that are up stay. */
  load(connection: SwanConnection): void {
    this.#configure(swanctlConf(connection));
    const { status, stdout, stderr } = this.swanctl("--load-all", "--clear");
    if (status !== 0) throw new Error(`swanctl --load-all: ${stdout}${stderr}`);
  }

  /** swanctl inside charon's own namespaces. */
  swanctl(...command: readonly string[]): Outcome {
    return run(this.#inside(command), { mayFail: true });
  }

  /** Initiates the child, and the IKE SA before it; gives what swanctl said. It waits `patience` s for the peer. */
  initiate(patience = 15): Promise<Outcome> {
    return runAsync(this.#inside(["--initiate", "--child", CONNECTION, "--timeout", `${patience}`]), { mayFail: true });
  }

  rekey({ ike = false }: { ike?: boolean } = {}): Promise<Outcome> {
    return runAsync(this.#inside(["--rekey", ike ? "--ike" : "--child", CONNECTION]));
  }

  terminate(): Promise<Outcome> {
    return runAsync(this.#inside(["--terminate", "--ike", CONNECTION, "--timeout", "10"]), { mayFail: true });
  }

  sas(): SwanSa[] {
    return parseSas(this.swanctl("--list-sas", "--raw").stdout);
  }

  /** Lines of its log about ESP packets that it could not open, or that belong to no SA of its own. */
  espComplaints(): string[] {
    return this.log.split("\n").filter((line) => /\[ESP\].*(failed|does not belong)/.test(line));
  }

  async end(): Promise<void> {
    await this.#process.end();
  }

  #configure(text: string): void {
    writeFileSync(join(this.#directory, "swanctl/swanctl.conf"), text, { mode: 0o600 });
  }

  #inside(command: readonly string[]): string[] {
    return ["nsenter", "-t", String(this.#process.pid), "-m", "-n", "-r", "--", "swanctl", ...command];
  }
}

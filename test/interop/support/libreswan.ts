/**
 * A Linux kernel as a peer: the kernel's own ESP and policies in User-Mode Linux, Libreswan's pluto above it. Debian lets
 * nobody install it beside strongSwan, so `scripts/setup` unpacks the package without installing it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { INNER, type Namespace, OUTER } from "./namespaces.ts";
import { LIBRESWAN } from "./requirements.ts";
import type { Outcome } from "./run.ts";
import type { TestBed } from "./test-bed.ts";
import { UmlGuest } from "./uml-guest.ts";

const CONNECTION = "net";
/** Where the package has its programs, and pluto looks for them; inside the guest alone. */
const BINARIES = "/usr/libexec/ipsec";
const RUN = "/run/pluto";
const CONTROL = `${RUN}/pluto.ctl`;

export interface LibreswanConnection {
  readonly localId: string;
  readonly remoteId: string;
  readonly secret: string;
  /** As ipsec.conf has them. */
  readonly ike: string;
  readonly esp: string;
  readonly esn: "yes" | "no" | "either";
}

const conf = ({ localId, remoteId, ike, esp, esn }: LibreswanConnection): string => `
config setup
    uniqueids=no

conn ${CONNECTION}
    left=${OUTER[4].b}
    leftid=@${localId}
    leftsubnet=${INNER[4].netB}
    leftupdown=%disabled
    right=${OUTER[4].a}
    rightid=@${remoteId}
    rightsubnet=${INNER[4].netA}
    authby=secret
    ikev2=insist
    ike=${ike}
    esp=${esp}
    esn=${esn}
    pfs=no
    mobike=no
    auto=add
`;

const start = (): string => `
mount --bind ${join(LIBRESWAN, "usr/libexec")} /usr/libexec
mkdir -p ${RUN} /run/nss
certutil -N -d sql:/run/nss --empty-password
touch /run/ipsec.conf /run/ipsec.secrets
ip route add ${INNER[4].netA} via ${OUTER[4].routerB} src ${INNER[4].hostB}
${BINARIES}/pluto --config /run/ipsec.conf --secretsfile /run/ipsec.secrets --nssdir /run/nss --rundir ${RUN} \\
  --nofork --logfile /run/pluto.log --no-dnssec --ipsecdir /run &`;

export class Libreswan extends UmlGuest {
  readonly name = "Libreswan in User-Mode Linux";

  /** Booted in the namespace that has the TAP device, with pluto running and one connection loaded. */
  static async start(bed: TestBed, space: Namespace, connection: LibreswanConnection): Promise<Libreswan> {
    const isReady = `${BINARIES}/whack --ctlsocket ${CONTROL} --status`;
    const peer = new Libreswan(bed, space, { start, isReady, log: "cat /run/pluto.log" });
    await peer.booted();
    const { localId, remoteId, secret } = connection;
    writeFileSync(join(peer.directory, "ipsec.secrets"), `@${localId} @${remoteId} : PSK "${secret}"\n`);
    writeFileSync(join(peer.directory, "ipsec.conf"), conf(connection));
    await peer.shell(`cp ${peer.directory}/ipsec.* /run/
      ${BINARIES}/whack --ctlsocket ${CONTROL} --rereadsecrets
      ${BINARIES}/addconn --config /run/ipsec.conf --ctlsocket ${CONTROL} ${CONNECTION}
      ${BINARIES}/whack --ctlsocket ${CONTROL} --listen`);
    return peer;
  }

  initiate(): Promise<Outcome> {
    return this.#whack("--initiate", "--name", CONNECTION);
  }

  rekey({ ike = false }: { ike?: boolean } = {}): Promise<Outcome> {
    return this.#whack(ike ? "--rekey-ike" : "--rekey-ipsec", "--name", CONNECTION, "--asynchronous");
  }

  terminate(): Promise<Outcome> {
    return this.#whack("--terminate", "--name", CONNECTION);
  }

  /** The IKE SAs that are up; all Child SAs are counted with the first. */
  async sas(): Promise<{ readonly children: readonly string[] }[]> {
    const { stdout } = await this.#whack("--showstates");
    const lines = (state: string): string[] =>
      stdout.split("\n").filter((line) => line.includes(`"${CONNECTION}"`) && line.includes(state));
    const children = lines("ESTABLISHED_CHILD_SA");
    return lines("ESTABLISHED_IKE_SA").map((_, n) => ({ children: n === 0 ? children : [] }));
  }

  #whack(...command: readonly string[]): Promise<Outcome> {
    return this.runAsync([`${BINARIES}/whack`, "--ctlsocket", CONTROL, ...command], { mayFail: true, timeout: 15_000 });
  }
}

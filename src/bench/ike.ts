/**
 * `espalier bench ike`: how many IKE SAs with a Child SA two gateways set up in a second, and what one costs each of them.
 * The control planes are those of the gateway, in processes of their own over UDP on the loopback interface, or in one thread
 * without sockets. TUN devices, routes, workers and logs are not in it.
 */
import { EspalierError } from "../errors.ts";
import { measureInMemory } from "./ike-memory.ts";
import { type IkeBenchOptions, type IkeBenchRow, ikeTasks } from "./ike-rows.ts";
import { measureOverUdp } from "./ike-udp.ts";

/**
 * Measure a row for each key exchange, work and transport. `onRow` is told each as soon as it is there. Rejects with
 * ESPALIER_USAGE for an option out of its range, and with ESPALIER_PLATFORM when the two sides do not agree on their keys,
 * which is checked before anything is timed.
 */
export const benchIke = async (
  options: IkeBenchOptions = {},
  onRow: (row: IkeBenchRow, of: number) => void = () => {},
): Promise<IkeBenchRow[]> => {
  const tasks = ikeTasks(options);
  refuseTypeScript();
  const rows: IkeBenchRow[] = [];
  for (const task of tasks) {
    const row = task.transport === "udp" ? await measureOverUdp(task) : await measureInMemory(task);
    rows.push(row);
    onRow(row, tasks.length);
  }
  return rows;
};

export const refuseTypeScript = (): void => {
  if (import.meta.url.endsWith(".ts"))
    throw new EspalierError("ESPALIER_PLATFORM", "the gateways run compiled JavaScript, and this is TypeScript", {
      remedy: "Run `npm run build` and use dist/.",
    });
};

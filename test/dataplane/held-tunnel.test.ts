/** A tunnel that holds its packets while no pair can send them: nobody reads its queues until one can. */
import { expect, test } from "vitest";
import { TunnelTable } from "../../src/dataplane/tunnel-table.ts";

test("a tunnel that holds is held while no worker can send, and is not any more when one can", () => {
  const control = TunnelTable.create();
  const worker = new TunnelTable(control.memory, 1);
  control.publish(3, 0, [10, 11], { vnetHdr: true, holds: true });
  control.publish(4, 0, [12, 13], { vnetHdr: true });
  expect([worker.isHeld(3), worker.isHeld(4)]).toEqual([true, false]);
  control.setFallback(3, 0);
  expect(worker.isHeld(3)).toBe(false);
  control.setFallback(3, -1);
  expect(worker.isHeld(3)).toBe(true);
  control.publish(3, 0, [10, 11], { vnetHdr: true }); // another tunnel in the same row
  expect(worker.isHeld(3)).toBe(false);
});

import { expect, test } from "vitest";
import { parse } from "yaml";
import { applySettings } from "../../src/config/apply-settings.ts";

const FILE = `# our gateway
workers: 1 # one was enough

connections:
  branch: # the other site
    psk_file:   branch.psk
    children:
      net:
        # the office
        local: [10.1.0.0/24]
        interface: { name: esp0,  routes: [10.2.0.0/24] }
      lab: { sas: 1 } # small
      yard: {local: [10.3.0.0/24]}
`;

test("only the settings change: the rest stays octet for octet", () => {
  const text = applySettings(FILE, { workers: 4, poll: "spin", batch: 64, engine: "ipsec-mb", sas: 4 });
  expect(text).toBe(
    FILE.replace("workers: 1 #", "engine: ipsec-mb\nbatch: 64\npoll: spin\nworkers: 4 #")
      .replace("        local", "        sas: 4\n        local")
      .replace("sas: 1", "sas: 4")
      .replace("{local:", "{ sas: 4,local:"),
  );
  expect(parse(text)).toMatchObject({
    workers: 4,
    poll: "spin",
    batch: 64,
    engine: "ipsec-mb",
    connections: {
      branch: { children: { net: { sas: 4 }, lab: { sas: 4 }, yard: { sas: 4, local: ["10.3.0.0/24"] } } },
    },
  });
});

test("what is set already changes nothing", () => {
  const once = applySettings(FILE, { workers: 2, poll: "sleep", sas: "auto" });
  expect(applySettings(once, { workers: 2, poll: "sleep", sas: "auto" })).toBe(once);
  expect(applySettings(FILE, {})).toBe(FILE);
});

test("an empty file takes them as well", () => {
  expect(applySettings("", { workers: 2 })).toBe("workers: 2\n");
  expect(applySettings("# nothing yet\n", { workers: 2 })).toBe("# nothing yet\nworkers: 2\n");
});

test.each(["- a list\n", "a: [\n", "workers: [1]\n"])("%j is no configuration to write into", (text) => {
  expect(() => applySettings(text, { workers: 2 })).toThrow(expect.objectContaining({ code: "ESPALIER_CONFIG" }));
});

/** What a strongSwan is told, and what it tells: configuration text, and the raw format of swanctl's listings. */

export interface SwanConnection {
  readonly local: string;
  /** `%any` for a responder to everybody. */
  readonly remote: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly secret: string;
  /** IKE proposals, comma separated. */
  readonly ike: string;
  readonly esp: string;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  /** Pretends a NAT, so that ESP goes in UDP. */
  readonly encap?: boolean;
  readonly remotePort?: number;
  /** Lines for the child, such as marks. */
  readonly childLines?: readonly string[];
  readonly connectionLines?: readonly string[];
  /** Children beside the one of the selectors above. */
  readonly moreChildren?: readonly SwanChildSelectors[];
}

export interface SwanChildSelectors {
  readonly name: string;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
}

const childConf = ({ name, localSelectors, remoteSelectors }: SwanChildSelectors, esp: string): string => `${name} {
        local_ts = ${localSelectors.join(",")}
        remote_ts = ${remoteSelectors.join(",")}
        esp_proposals = ${esp}
        rekey_time = 0s
      }`;

/** Both the connection and its child have this name. */
export const CONNECTION = "net";

export const swanctlConf = (connection: SwanConnection): string => `
connections {
  ${CONNECTION} {
    version = 2
    local_addrs = ${connection.local}
    remote_addrs = ${connection.remote}
    remote_port = ${connection.remotePort ?? 500}
    proposals = ${connection.ike}
    encap = ${connection.encap === true ? "yes" : "no"}
    mobike = no
    rekey_time = 0s
    ${(connection.connectionLines ?? []).join("\n    ")}
    local {
      auth = psk
      id = ${connection.localId}
    }
    remote {
      auth = psk
      id = ${connection.remoteId}
    }
    children {
      ${CONNECTION} {
        local_ts = ${connection.localSelectors.join(",")}
        remote_ts = ${connection.remoteSelectors.join(",")}
        esp_proposals = ${connection.esp}
        mode = tunnel
        rekey_time = 0s
        ${(connection.childLines ?? []).join("\n        ")}
      }
      ${(connection.moreChildren ?? []).map((child) => childConf(child, connection.esp)).join("\n      ")}
    }
  }
}
secrets {
  ike-net {
    id-local = ${connection.localId}
    id-remote = ${connection.remoteId}
    secret = "${connection.secret}"
  }
}
`;

export const strongswanConf = (options: {
  readonly plugins: string;
  readonly log: string;
  readonly installRoutes: boolean;
  readonly vici: string;
}): string => `
charon {
  load = ${options.plugins}
  install_routes = ${options.installRoutes ? "yes" : "no"}
  retransmit_tries = 3
  delete_rekeyed_delay = 1
  plugins {
    vici {
      socket = unix://${options.vici}
    }
  }
  filelog {
    log {
      path = ${options.log}
      default = 1
      ike = 2
      cfg = 2
      esp = 2
      flush_line = yes
    }
  }
}
swanctl {
  load = openssl pem pkcs1 pkcs8 x509 random
  plugins {
    vici {
      socket = unix://${options.vici}
    }
  }
}
`;

/** A section of vici: values are text, lists or sections. */
export interface ViciSection {
  readonly [key: string]: string | readonly string[] | ViciSection | undefined;
}

/** Parses `swanctl --raw`: `name {key=value list=[a b] section {…}}`, one message a line. */
export const parseRaw = (text: string): ViciSection => {
  let at = 0;
  const section = (): ViciSection => {
    const entries: Record<string, string | string[] | ViciSection> = {};
    while (at < text.length) {
      while (/\s/.test(text[at] ?? "")) at++;
      if (at >= text.length || text[at] === "}") break;
      const [, key, mark] = /^([^\s={}]+)\s*([={])/.exec(text.slice(at)) ?? [];
      if (key === undefined || mark === undefined) throw new Error(`not vici's raw format: ${text.slice(at, at + 80)}`);
      at = text.indexOf(mark, at) + 1;
      if (mark === "{") {
        entries[key] = section();
        at++; // the closing brace
      } else if (text[at] === "[") {
        const end = text.indexOf("]", at);
        entries[key] = text
          .slice(at + 1, end)
          .split(" ")
          .filter((word) => word !== "");
        at = end + 1;
      } else {
        // A value may hold spaces: it ends before the next key, section or brace.
        const [value = ""] = /^.*?(?=\s+[^\s={}]+\s*[={]|\}|$)/s.exec(text.slice(at)) ?? [];
        entries[key] = value;
        at += value.length;
      }
    }
    return entries;
  };
  return section();
};

export interface SwanSa {
  readonly state: string;
  readonly initiatorSpi: string;
  readonly children: readonly SwanChild[];
}

export interface SwanChild {
  readonly name: string;
  readonly state: string;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly encap: boolean;
  readonly esn: boolean;
  readonly cipher: string;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

const sub = (section: ViciSection, key: string): ViciSection => {
  const value = section[key];
  return typeof value === "object" && !Array.isArray(value) ? (value as ViciSection) : {};
};

const word = (section: ViciSection, key: string): string => {
  const value = section[key];
  return typeof value === "string" ? value : "";
};

/** The IKE SAs of `swanctl --list-sas --raw`. */
export const parseSas = (raw: string): SwanSa[] =>
  raw
    .split("\n")
    .filter((line) => line.startsWith("list-sa event"))
    .map((line) => {
      const event = sub(parseRaw(line.replace("list-sa event", "event")), "event");
      const sa = sub(event, Object.keys(event)[0] ?? "");
      const children = sub(sa, "child-sas");
      return {
        state: word(sa, "state"),
        initiatorSpi: word(sa, "initiator-spi"),
        children: Object.keys(children).map((key) => {
          const child = sub(children, key);
          return {
            name: word(child, "name"),
            state: word(child, "state"),
            spiIn: word(child, "spi-in"),
            spiOut: word(child, "spi-out"),
            encap: word(child, "encap") === "yes",
            esn: word(child, "esn") === "1",
            cipher: `${word(child, "encr-alg")}${word(child, "encr-keysize") && `-${word(child, "encr-keysize")}`}`,
            packetsIn: Number(word(child, "packets-in")),
            packetsOut: Number(word(child, "packets-out")),
          };
        }),
      };
    });

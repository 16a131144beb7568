"""ESP by scapy, one JSON object a line: seals and opens packets in tunnel and transport mode (RFC 4303).

in:  {"op": "seal" | "open", "suite": NAME, "spi": N, "key": HEX, "esn": BOOL, "sequence": N, "outer": 4 | 6, "packet": HEX,
      "mode": "tunnel" | "transport"}
     The key is encryption key, salt and integrity key as KEYMAT gives them. `sequence` has 64 bits with ESN.
     `packet` is an inner packet to seal, or an ESP packet from its SPI on to open. In transport mode what is opened has the
     outer header.
out: {"packet": HEX}, or {"error": TEXT}
"""
import json
import struct
import sys

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, IPSecIntegrityError, SecurityAssociation
from scapy.compat import raw

# Name without the key's bits -> scapy's name, octets of the salt. scapy knows ICVs of 16 octets only.
AEAD = {"gcm16": "AES-GCM", "ccm16": "AES-CCM"}
CIPHER = {"": ("AES-CBC", 0), "ctr": ("AES-CTR", 4)}
INTEGRITY = {
    "sha1": "HMAC-SHA1-96",
    "sha256": "SHA2-256-128",
    "sha384": "SHA2-384-192",
    "sha512": "SHA2-512-256",
    "aescmac": "AES-CMAC-96",
}


class ExtendedIntegrity:
    """scapy's integrity algorithm with the high half of the sequence number behind the packet (RFC 4303 section 2.2.1),
    which scapy itself leaves out for ESP."""

    def __init__(self, algorithm, high):
        self.algorithm, self.icv_size, self.name = algorithm, algorithm.icv_size, algorithm.name
        self.suffix = struct.pack("!L", high)

    def icv(self, octets, key):
        mac = self.algorithm.new_mac(key)
        mac.update(octets + self.suffix)
        return mac.finalize()[: self.icv_size]

    def sign(self, packet, key):
        packet[ESP].data += self.icv(raw(packet[ESP]), key)
        return packet

    def verify(self, packet, key):
        clone = packet.copy()
        clone.data = packet.data[: -self.icv_size]
        if packet.data[-self.icv_size :] != self.icv(raw(clone), key):
            raise IPSecIntegrityError("the ICV is another")


def outer_header(version):
    if version == 4:
        return IP(src="192.0.2.1", dst="198.51.100.1")
    return IPv6(src="2001:db8:a::1", dst="2001:db8:b::1")


def association(job):
    suite, key = job["suite"], bytes.fromhex(job["key"])
    low, high = job["sequence"] & 0xFFFFFFFF, job["sequence"] >> 32
    options = {"spi": job["spi"], "seq_num": low}
    if job["mode"] == "tunnel":
        options["tunnel_header"] = outer_header(job["outer"])
    if job["esn"]:
        options.update(esn_en=True, esn=high)
    # scapy takes the salt from the end of the key, where KEYMAT has it
    name, _, integrity = suite.partition("-")
    if name == "chacha20poly1305":
        return SecurityAssociation(ESP, crypt_algo="CHACHA20-POLY1305", crypt_key=key, **options)
    bits, kind = (name[3:6], name[6:]) if name != "null" else ("0", "")
    if not integrity:
        return SecurityAssociation(ESP, crypt_algo=AEAD[kind], crypt_key=key, **options)
    cipher, salt = CIPHER[kind] if name != "null" else ("NULL", 0)
    length = int(bits) // 8 + salt
    sa = SecurityAssociation(
        ESP,
        crypt_algo=cipher,
        crypt_key=key[:length],
        auth_algo=INTEGRITY[integrity],
        auth_key=key[length:],
        **options,
    )
    if job["esn"]:
        sa.auth_algo = ExtendedIntegrity(sa.auth_algo, high)
    return sa


def seal(job):
    inner = bytes.fromhex(job["packet"])
    packet = (IP if inner[0] >> 4 == 4 else IPv6)(inner)
    sealed = association(job).encrypt(packet, seq_num=job["sequence"] & 0xFFFFFFFF)
    return raw(sealed[ESP])


def open_(job):
    header = outer_header(job["outer"])
    octets = raw(header.__class__(raw(header / ESP(bytes.fromhex(job["packet"])))))
    return raw(association(job).decrypt(header.__class__(octets)))


for line in sys.stdin:
    request = json.loads(line)
    try:
        result = {"packet": (seal if request["op"] == "seal" else open_)(request).hex()}
    except Exception as error:  # the caller judges what it means
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)

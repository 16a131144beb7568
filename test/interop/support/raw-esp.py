"""Sends ESP packets as IP protocol 50, one for each line of hex digits on stdin, in that order.

    raw-esp.py SOURCE TARGET

A pause after each lets nothing on the way put them into another order.
"""
import socket
import sys
import time

PAUSE = 0.002  # seconds

source, target = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_RAW, 50) as out:
    out.bind((source, 0))
    for line in sys.stdin:
        out.sendto(bytes.fromhex(line), (target, 0))
        time.sleep(PAUSE)

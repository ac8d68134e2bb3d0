/** /proc/PID/net/dev. */
import { expect, test } from "bun:test";
import { parseInterfaces, readInterfaces } from "../../src/container/interfaces.ts";

const TEXT = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  eth0: 609594012   11735    1    2    0     0          0         0   544270    6573    3    4    0     0       0          0
eth0.17:5 1 0 0 0 0 0 0 6 2 0 0 0 0 0 0
`;

test("interfaces are told with their counters, the loopback isn't", () => {
  expect(parseInterfaces(TEXT)).toEqual([
    {
      Name: "eth0",
      RxBytes: 609594012n,
      RxPackets: 11735n,
      RxErrors: 1n,
      RxDropped: 2n,
      TxBytes: 544270n,
      TxPackets: 6573n,
      TxErrors: 3n,
      TxDropped: 4n,
    },
    expect.objectContaining({ Name: "eth0.17", RxBytes: 5n, TxBytes: 6n, TxPackets: 2n }),
  ]);
});

test("those of a shared network namespace aren't the container's, nor those of nobody", () => {
  expect(readInterfaces(process.pid)).toBeNull();
  expect(readInterfaces(4_194_304)).toBeNull();
});

import { expect, test } from "bun:test";
import { numberListFault, parseNumberList } from "../../spec/number-list.ts";

test("numbers and ranges, with spaces around them", () => {
  expect(parseNumberList("0-3,7")).toEqual([
    [0, 3],
    [7, 7],
  ]);
  expect(parseNumberList(" 5 , 1 - 2 ")).toEqual([
    [5, 5],
    [1, 2],
  ]);
  expect(parseNumberList("")).toEqual([]);
});

test.each(["a", "1,", ",1", "1-", "-1", "3-1", "1--2", "1 2", "1.5", "0x1", "9999999999", "1-2-3"])(
  "%p is no list",
  (list) => {
    expect(parseNumberList(list)).toBeUndefined();
    expect(numberListFault(list, 1023)).toStartWith("expected a list such as 0-3,7; received");
  },
);

test("a number above what there can be is told", () => {
  expect(numberListFault("0,1000-1024", 1023)).toBe("1024 is above 1023, the highest that Linux can have");
  expect(numberListFault("0-1023", 1023)).toBeUndefined();
});

/** Masked and read-only paths. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, test } from "./helpers.ts";
import { rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("paths");
const { mountsWith } = rootfsTools(box);

test("a masked file reads as empty, and its mask can't be changed", () => {
  const output = box.outputOf({
    args: "cat /secret; chmod 600 /secret 2>/dev/null || echo kept",
    fill: (rootfs) => writeFileSync(join(rootfs, "secret"), "secret"),
    patch: (config) => {
      config.linux.maskedPaths = ["/secret"];
      writable(config);
    },
  });
  expect(output).toBe("kept\n");
});

test("a masked directory is empty and can't be written to", () => {
  const output = box.outputOf({
    args: "ls -A /secrets; touch /secrets/x 2>/dev/null || echo refused",
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "secrets"));
      writeFileSync(join(rootfs, "secrets/key"), "secret");
    },
    patch: (config) => {
      config.linux.maskedPaths = ["/secrets"];
      writable(config);
    },
  });
  expect(output).toBe("refused\n");
});

test("the masked paths of the default config read as empty", () => {
  const output = box.outputOf({
    args: "for p in /proc/kcore /proc/keys /proc/timer_list; do if test -f $p; then echo regular $p; fi; done; ls -A /sys/firmware",
  });
  expect(output).toBe("");
});

test("a masked path that isn't there is passed over, and not made", () => {
  const b = box.bundle({
    patch: (config) => {
      config.linux.maskedPaths = ["/not/there"];
      writable(config);
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stderr: "" });
  expect(existsSync(join(b.rootfs, "not"))).toBe(false);
});

test("masked and read-only paths below a file count as not there", () => {
  const output = box.outputOf({
    args: "echo runs",
    patch: (config) => {
      config.linux.maskedPaths = ["/bin/busybox/x"];
      config.linux.readonlyPaths = ["/bin/busybox/y"];
    },
  });
  expect(output).toBe("runs\n");
});

test("read-only paths can be read and not written to", () => {
  const output = box
    .outputOf({
      args: "cat /fixed/file; (echo x >/fixed/file) 2>/dev/null || echo refused; echo y >/free && echo written",
      fill: (rootfs) => {
        mkdirSync(join(rootfs, "fixed"));
        writeFileSync(join(rootfs, "fixed/file"), "text\n");
      },
      patch: (config) => {
        config.linux.readonlyPaths = ["/fixed", "/not/there"];
        writable(config);
      },
    })
    .split("\n");
  expect(output).toEqual(["text", "refused", "written", ""]);
});

test("the read-only paths of the default config can't be written to", () => {
  const paths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].filter((p) =>
    existsSync(p),
  );
  const mounts = mountsWith();
  expect(paths.filter((path) => !mounts[path]?.options.includes("ro"))).toEqual([]);
  const { stderr } = box.run(box.bundle({ args: "echo 1 >/proc/sys/vm/drop_caches" }));
  expect(stderr).toContain("Read-only file system");
});

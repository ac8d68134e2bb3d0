/** Containers of a user without root's rights: with its own id alone, and with the ids that /etc/subuid and /etc/subgid give it. */
import { afterAll, describe, expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, statusFields, type TestConfig, until } from "./helpers.ts";
import { FALLBACK, FIRST, good, NAME, OWN, RANGES, secondUser, test, USER } from "./second-user.ts";

const box = openBox("rootless");
const { asUser, bundleOf, runAs, runtimeDirectory, forget } = secondUser(box);
afterAll(forget);

describe.each([
  ["its own id", OWN],
  ["ranges of ids", RANGES],
] as const)("with %s", (name, mappings) => {
  const hasRanges = name !== "its own id";

  test.each([
    ["XDG_RUNTIME_DIR", { XDG_RUNTIME_DIR: runtimeDirectory }, join(runtimeDirectory, "kontena")],
    ["no environment at all", {}, FALLBACK],
  ] as const)("a user has the whole lifecycle: %s", async (_, env, root) => {
    const by = asUser({ env });
    const k = (...args: string[]) => box.kontena(args, by);
    const b = bundleOf([...mappings], {
      args: "trap 'exit 3' TERM; echo ready >/ready; while :; do sleep 0.1; done",
    });
    good(k("create", "--bundle", b.directory, b.id));
    expect(JSON.parse(good(k("state", b.id)))).toMatchObject({ id: b.id, status: "created" });
    expect(statSync(root)).toMatchObject({ uid: USER, mode: 0o40700 });
    good(k("start", b.id));
    await until("it runs", () => existsSync(join(b.rootfs, "ready")));
    expect(good(k("list"))).toMatch(new RegExp(`${b.id} +\\d+ +running`));
    expect(good(k("ps", b.id))).toContain("trap");
    expect(good(k("exec", b.id, "id"))).toBe("uid=0 gid=0\n");
    expect(good(k("exec", "--tty", b.id, "sh", "-c", "test -t 1 && echo terminal"))).toBe("terminal\r\n");
    const other = k("exec", "--user", "1000:7", b.id, "id");
    if (hasRanges) expect(good(other)).toBe("uid=1000 gid=7\n");
    else expect(other.stderr).toContain("the id isn't mapped in the user namespace");
    if (!hasRanges)
      expect(k("exec", "--additional-gids", "0", b.id, "id").stderr).toContain(
        "cannot set the groups 0: operation not permitted (a user namespace that maps only its maker's own group",
      );
    expect(k("run", "--bundle", b.directory, b.id).stderr).toContain(`container with id exists: ${b.id}`);
    good(k("kill", b.id, "TERM"));
    await until("it has stopped", () => k("state", b.id).stdout.includes('"stopped"'));
    good(k("delete", b.id));
    expect(existsSync(join(root, b.id))).toBe(false);
  });

  test("the program has exactly the mappings and rights of the config", () => {
    const b = bundleOf([...mappings], {
      args: ["cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/status"],
    });
    const stdout = good(runAs(b));
    const lines = stdout
      .split("\n")
      .filter((line) => /^[\d ]+$/.test(line))
      .map((line) => line.trim().split(/ +/).map(Number));
    const wanted = mappings.map((m) => [m.containerID, m.hostID, m.size]);
    expect(lines).toEqual([...wanted, ...wanted]);
    expect(stdout).toContain(hasRanges ? "\nallow\n" : "\ndeny\n");
    const status = statusFields(stdout);
    expect(status).toMatchObject({
      Uid: "0\t0\t0\t0",
      Groups: " ",
      CapEff: "0000000020000420",
      CapAmb: "0000000000000000",
    });
  });

  test("explain tells who writes the mappings", () => {
    const b = bundleOf([...mappings]);
    const stdout = good(box.kontena(["explain", "--bundle", b.directory], asUser()));
    expect(stdout.includes("gid_map, by newgidmap")).toBe(hasRanges);
    expect(stdout.includes("write deny to the process's setgroups")).toBe(!hasRanges);
  });

  test("files belong to the host's ids that the mappings say", () => {
    const program = hasRanges ? { uid: 5001, gid: 7 } : { uid: 0, gid: 0 };
    const b = bundleOf([...mappings], {
      args: ["touch", "/open/file"],
      fill: (rootfs) => mkdirSync(join(rootfs, "open"), { mode: 0o777 }),
      patch: (config) => {
        config.process.user = { ...program, umask: 0 };
      },
    });
    Bun.spawnSync(["chmod", "777", join(b.rootfs, "open")]);
    good(runAs(b));
    const { uid, gid } = statSync(join(b.rootfs, "open/file"));
    expect({ uid, gid }).toEqual(
      hasRanges ? { uid: FIRST + 1001, gid: FIRST + 6 } : { uid: USER, gid: USER },
    );
  });

  test("hooks run as the user, and as root of the container", () => {
    const b = bundleOf([...mappings], {
      args: ["cat", "/inside"],
      patch: (config, directory) => {
        const hook = (path: string, script: string) => [{ path, args: ["sh", "-c", script] }];
        config.hooks = {
          createRuntime: hook("/bin/sh", `id -u >${directory}/outside`),
          startContainer: hook("/bin/sh", "id -u >/inside; readlink /proc/self/ns/user >>/inside"),
        };
      },
    });
    const [uid, namespace] = good(runAs(b)).split("\n");
    expect(uid).toBe("0");
    expect(namespace).toMatch(/^user:/);
    expect(readFileSync(join(b.directory, "outside"), "utf8")).toBe(`${USER}\n`);
  });
});

describe.each(["kontena", "runc", "crun"])("what %s spec --rootless writes", (runtime) => {
  const isThere = runtime === "kontena" || Bun.which(runtime) !== null;

  test.skipIf(!isThere)("runs as it is, for the user that wrote it", () => {
    const b = bundleOf(OWN);
    rmSync(join(b.directory, "config.json"));
    const by = { ...asUser(), cwd: b.directory };
    const words = ["spec", "--rootless"];
    if (runtime === "kontena") good(box.kontena(words, by));
    else
      Bun.spawnSync([...(by.before ?? []), runtime, ...words], {
        cwd: b.directory,
        env: { PATH: "/usr/bin:/usr/sbin:/bin" },
      });
    const config = JSON.parse(readFileSync(join(b.directory, "config.json"), "utf8"));
    expect(config.linux.namespaces).toContainEqual({ type: "user" });
    // Without a terminal, as there is none here, and with another program.
    Object.assign(config.process, { terminal: false, args: ["sh", "-c", "id; stat -c %t:%T /dev/null"] });
    writeFileSync(join(b.directory, "config.json"), JSON.stringify(config));
    // runc's asks for ambient capabilities that aren't inheritable, of which a warning tells.
    const { status, stdout } = runAs(b);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "uid=0 gid=0\n1:3\n" });
  });
});

describe("root of a user namespace that a user has made", () => {
  const b = () => bundleOf([{ containerID: 0, hostID: 0, size: 1 }], { args: ["id"] });
  const inside = (env: Record<string, string>) => {
    const user = asUser({ env: { XDG_RUNTIME_DIR: runtimeDirectory, ...env } });
    return { ...user, before: [...(user.before ?? []), "unshare", "--user", "--map-root-user"] };
  };

  test("keeps its containers where the user does", () => {
    const made = b();
    good(box.kontena(["create", "--bundle", made.directory, made.id], inside({ USER: NAME })));
    expect(statSync(join(runtimeDirectory, "kontena", made.id)).uid).toBe(USER);
    good(box.kontena(["delete", "--force", made.id], asUser()));
  });

  test("is root where its name is root's, and has no rights in /run", () => {
    const made = b();
    const { status, stderr } = box.kontena(
      ["run", "--bundle", made.directory, made.id],
      inside({ USER: "root" }),
    );
    expect(status).toBe(1);
    expect(stderr).toContain("the state directory /run/kontena");
  });
});

describe("additional groups", () => {
  const groups = (config: TestConfig) => {
    config.process.user = { uid: 0, gid: 0, additionalGids: [5, 6] };
  };

  test("are the program's where ranges of groups are mapped", () => {
    expect(good(runAs(bundleOf(RANGES, { args: ["id", "-G"], patch: groups })))).toBe("0 5 6\n");
  });

  test("are refused with a single mapping, since the kernel wants setgroups denied for it", () => {
    const { status, stderr } = runAs(bundleOf(OWN, { patch: groups }));
    expect(status).toBe(1);
    expect(stderr).toContain(
      "process.user.additionalGids: can't be set: who maps only its own group has to give up setgroups(2)",
    );
    expect(stderr).toContain("process.user.additionalGids[0]: 5 isn't mapped by linux.gidMappings");
  });
});

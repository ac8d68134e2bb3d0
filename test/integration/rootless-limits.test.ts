/** What a user without root's rights can't have, and how that is told; and who may do what to such a user's containers. */
import { describe, expect } from "bun:test";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, statusFields, type TestBundle } from "./helpers.ts";
import { FIRST, good, NAME, OWN, RANGES, secondUser, test, USER, type UserOptions } from "./second-user.ts";

const box = openBox("rootlesslimits");
const { asUser, bundleOf, runAs, runtimeDirectory, files } = secondUser(box);
writeFileSync(join(files, "none"), `somebody:${FIRST}:65536\n`);

describe("a mapping that can't be had is told with what helps:", () => {
  const refused = (user: UserOptions, mappings = RANGES) => {
    const { status, stderr } = runAs(bundleOf(mappings), user);
    expect(status).toBe(1);
    expect(box.kontena(["list", "--quiet"], asUser()).stdout).toBe("");
    return stderr;
  };

  test("ranges that belong to somebody else", () => {
    const line = `root can add the line "${NAME}:${FIRST}:1000" there`;
    for (const [id, name] of [
      ["uid", "uidMappings"],
      ["gid", "gidMappings"],
    ] as const) {
      const stderr = refused({ files: { [`/etc/sub${id}`]: join(files, "none") } });
      expect(stderr).toContain(
        `linux.${name}: /usr/bin/new${id}map refused: new${id}map: ${id} range [1-1001)`,
      );
      expect(stderr).toContain(
        `/etc/sub${id} doesn't give the ids ${FIRST} to ${FIRST + 999} to ${NAME}; ${line}`,
      );
    }
  });

  test("another id of the host than one's own", () => {
    expect(refused({}, [{ containerID: 0, hostID: 0, size: 1 }])).toContain(
      `/etc/subuid doesn't give the ids 0 to 0 to ${NAME}`,
    );
  });

  test("a helper that isn't there", () => {
    const stderr = refused({ files: { "/usr/bin/newgidmap": "/dev/null" } });
    expect(stderr).toContain(
      "linux.gidMappings: newgidmap isn't there to map more ids than one's own (install it: ",
    );
  });

  test("a caller who can't have the helper's rights", () => {
    expect(refused({ privileges: ["--no-new-privs"] })).toContain(
      "the caller has no_new_privs set, so newuidmap can't have the rights that it needs",
    );
  });

  test("an id of the program that isn't mapped", () => {
    const b = bundleOf(RANGES, {
      patch: (config) => {
        config.process.user = { uid: 2000, gid: 2001 };
      },
    });
    const { stderr } = runAs(b);
    expect(stderr).toContain("process.user.uid: 2000 isn't mapped by linux.uidMappings");
    expect(stderr).toContain("process.user.gid: 2001 isn't mapped by linux.gidMappings");
  });
});

describe("a container of a user", () => {
  function started(mappings = RANGES): TestBundle {
    const b = bundleOf(mappings, { args: ["sleep", "1000"] });
    good(box.kontena(["run", "--detach", "--bundle", b.directory, b.id], asUser()));
    return b;
  }
  const remove = (b: TestBundle) => good(box.kontena(["delete", "--force", b.id], asUser()));

  test("isn't entered by another user, whatever states that one has", () => {
    const b = started();
    const stranger = asUser({ uid: USER + 1, env: {} });
    const state = join(runtimeDirectory, "kontena", b.id);
    const direct = box.kontena(["exec", b.id, "id"], {
      ...stranger,
      globals: ["--root", join(runtimeDirectory, "kontena")],
    });
    expect(direct).toMatchObject({ status: 255, stdout: "" });
    const copies = join(box.directory, "copies");
    cpSync(state, join(copies, b.id), { recursive: true, filter: (path) => !path.endsWith(".fifo") });
    Bun.spawnSync(["chown", "-R", `${USER + 1}:${USER + 1}`, copies]);
    const copied = box.kontena(["exec", b.id, "id"], { ...stranger, globals: ["--root", copies] });
    expect(copied).toMatchObject({ status: 255, stdout: "" });
    expect(copied.stderr).toContain("act as the container's owner or as root");
    remove(b);
  });

  test("is the business of root, too", () => {
    const b = started();
    const globals = ["--root", join(runtimeDirectory, "kontena")];
    expect(good(box.kontena(["exec", "--user", "5000:1", b.id, "id"], { globals }))).toBe("uid=5000 gid=1\n");
    good(box.kontena(["delete", "--force", b.id], { globals }));
  });

  test("gets none of root's groups from root's exec, although nobody can set groups in it", () => {
    const b = started(OWN);
    const by = {
      globals: ["--root", join(runtimeDirectory, "kontena")],
      before: ["setpriv", "--groups", "0,4,5", "--"],
    };
    const status = good(box.kontena(["exec", b.id, "cat", "/proc/self/status"], by));
    expect(statusFields(status)).toMatchObject({ Uid: "0\t0\t0\t0", Groups: " " });
    remove(b);
  });

  test("is joined by another one of that user", () => {
    const b = started();
    const { pid } = JSON.parse(good(box.kontena(["state", b.id], asUser())));
    const joining = bundleOf(RANGES, {
      args: "id; echo $$; readlink /proc/self/ns/ipc",
      patch: (config) => {
        config.linux.namespaces = (config.linux.namespaces ?? []).map(({ type }) =>
          ["user", "pid", "ipc"].includes(type) ? { type, path: `/proc/${pid}/ns/${type}` } : { type },
        );
        delete config.linux.uidMappings;
        delete config.linux.gidMappings;
      },
    });
    const [id, own, ipc] = good(runAs(joining)).split("\n");
    expect(id).toBe("uid=0 gid=0");
    expect(Number(own)).toBeGreaterThan(1);
    expect(ipc).toBe(good(box.kontena(["exec", b.id, "readlink", "/proc/self/ns/ipc"], asUser())).trim());
    remove(b);
  });

  test("runs without a cgroup where none is delegated, so nothing freezes, limits or counts it", () => {
    const b = started();
    for (const [words, what] of [
      [["pause", b.id], "frozen"],
      [["update", "--pids-limit", "5", b.id], "limited"],
    ] as const)
      expect(box.kontena([...words], asUser())).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(
          `container ${b.id} has no cgroup that could be ${what} (it was made without: `,
        ),
      });
    remove(b);
  });

  test("isn't made when its config asks for a limit that nobody can set", () => {
    const b = bundleOf(RANGES, {
      patch: (config) => {
        config.linux.resources = { pids: { limit: 5 } };
      },
    });
    const { status, stderr } = runAs(b);
    expect(status).toBe(1);
    expect(stderr).toContain("linux.resources: limits can't be applied: no right to make a cgroup for them");
  });
});

/** runtime-linux.md: file descriptors, symbolic links in /dev. */
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { done } from "../lab.ts";

const LINKS = {
  "/dev/fd": "/proc/self/fd",
  "/dev/stdin": "/proc/self/fd/0",
  "/dev/stdout": "/proc/self/fd/1",
  "/dev/stderr": "/proc/self/fd/2",
};

/** Descriptors of a shell that has opened none; the listing's own is 3. */
const LIST = ["ls", "/proc/self/fd"];

export const RUNTIME_LINUX_CASES: Case[] = [
  ...section(
    "runtime-linux.md#file-descriptors",
    "MUST",
    "only standard input, output and error are open for the program",
    [
      {
        name: "the program has descriptors 0, 1 and 2 and no other",
        async check(lab) {
          equal(
            (await lab.inside(LIST)).split("\n").filter(Boolean),
            ["0", "1", "2", "3"],
            "descriptors with the listing's own",
          );
        },
      },
      {
        name: "after create and start too",
        async check(lab) {
          equal(
            (await lab.lived(LIST)).text.split("\n").filter(Boolean),
            ["0", "1", "2", "3"],
            "descriptors with the listing's own",
          );
        },
      },
      {
        name: "descriptors of the runtime's caller don't get through",
        async check(lab) {
          const b = lab.bundle(LIST);
          const before = ["sh", "-c", 'exec 3</etc/passwd 4</etc/hostname 9</; exec "$@"', "sh"];
          const finished = done(await lab.run(b, [], { before }), "run");
          equal(
            finished.stdout.split("\n").filter(Boolean),
            ["0", "1", "2", "3"],
            "descriptors with the listing's own",
          );
        },
      },
      {
        name: "--preserve-fds passes as many more",
        level: "MAY",
        says: "the runtime may pass additional file descriptors",
        async check(lab) {
          const b = lab.bundle(["sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd"]);
          const before = [
            "sh",
            "-c",
            `echo three > ${lab.directory}/3; echo four > ${lab.directory}/4; exec 3<${lab.directory}/3 4<${lab.directory}/4; exec "$@"`,
            "sh",
          ];
          const finished = done(await lab.run(b, ["--preserve-fds", "2"], { before }), "run");
          equal(
            finished.stdout.split("\n").filter(Boolean),
            ["three", "four", "0", "1", "2", "3", "4", "5"],
            "output",
          );
        },
      },
    ],
  ),
  ...section(
    "runtime-linux.md#dev-symbolic-links",
    "MUST",
    "links in /dev, made when what they name exists after the mounts",
    [
      ...Object.entries(LINKS).map(
        ([link, target]): Section => ({
          name: `${link} is a link to ${target}`,
          async check(lab) {
            equal(await lab.inside(["readlink", link]), `${target}\n`, link);
          },
        }),
      ),
      {
        name: "the links work",
        check: async (lab) =>
          equal(
            await lab.inside("echo out > /dev/stdout; ls /dev/fd > /dev/null && echo ok"),
            "out\nok\n",
            "output",
          ),
      },
      {
        name: "without a mount on /dev they are made in the root file system",
        async check(lab) {
          const config = lab.bundle().config["mounts"] as { destination: string }[];
          const mounts = config.filter(({ destination }) => !destination.startsWith("/dev"));
          const seen = await lab.inside("for l in fd stdin stdout stderr; do readlink /dev/$l; done", {
            mounts,
          });
          equal(seen.trim().split("\n"), Object.values(LINKS), "links");
        },
      },
    ],
  ),
  ...section("runtime-linux.md#file-descriptors", "MUST", "standard streams stay what they are", [
    {
      name: "standard streams aren't made non-blocking",
      async check(lab) {
        const seen = await lab.inside("grep flags /proc/self/fdinfo/1");
        const flags = Number.parseInt(seen.split(/\s+/)[1] ?? "", 8);
        holds((flags & 0o4000) === 0, `flags are ${seen}`);
      },
    },
  ]),
];

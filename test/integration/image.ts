/** An image for engines: busybox, its names, a user database, and a file that is no program. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const APPLETS = "cat echo env false id ls mkdir mount ps rm sh sleep stty touch true tty";

/** Makes its files in `image` of the directory, and an archive of them. @returns the archive's path */
export function makeImage(directory: string): string {
  const root = join(directory, "image");
  const archive = join(directory, "image.tar");
  for (const name of ["bin", "etc", "tmp", "root"]) mkdirSync(join(root, name), { recursive: true });
  cpSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of APPLETS.split(" ")) symlinkSync("busybox", join(root, "bin", name));
  writeFileSync(join(root, "bin/data"), "no program\n", { mode: 0o644 });
  writeFileSync(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
  );
  writeFileSync(join(root, "etc/group"), "root:x:0:\nuser:x:1000:\n");
  const { exitCode, stderr } = Bun.spawnSync([
    "tar",
    "-C",
    root,
    "--owner=0",
    "--group=0",
    "-cf",
    archive,
    ".",
  ]);
  if (exitCode !== 0) throw new Error(`no image: ${stderr}`);
  return archive;
}

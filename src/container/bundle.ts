/** The bundle (bundle.md): a directory with config.json, and the root file system that it names. */

import type { Config } from "../../spec/config.ts";
import { KontenaError } from "../error.ts";
import { codeOf } from "../kernel/files.ts";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readBounded,
  realpathSync,
  statSync,
} from "../kernel/fs.ts";
import { isAbsolute, join } from "../path.ts";

export interface Bundle {
  /** Absolute path without symlinks. */
  path: string;
  config: Config;
  /** The config as it was read. */
  text: string;
  /** Absolute path of the root file system. */
  rootfs: string;
}

function bundleError(message: string, path: string, error: unknown, hint?: string): KontenaError {
  const errno = codeOf(error);
  const text = errno === "ENOENT" ? "no such file or directory" : errno;
  return new KontenaError("BUNDLE_INVALID", `${message}: ${text}`, {
    path,
    errno,
    ...(hint ? { hint } : {}),
  });
}

/** A bundle whose config nobody has looked at yet. */
export interface BundleText {
  /** Absolute path without symlinks. */
  path: string;
  /** Path and text of the config. */
  file: string;
  text: string;
}

/** No config is as long: what is longer is a device, or not meant for a runtime. */
export const MOST_BYTES = 16 * 1024 * 1024;

/**
 * Of a file that nobody can read from, such as a FIFO in a bundle, opening it doesn't wait. `regular`: nothing else will do;
 * the file of an option may be a pipe.
 */
function readConfig(file: string, regular: boolean): string {
  const bad = (message: string) => new KontenaError("BUNDLE_INVALID", message, { path: file });
  const fd = openSync(file, constants.O_RDONLY | (regular ? constants.O_NONBLOCK : 0));
  try {
    const stats = fstatSync(fd);
    if (regular && !stats.isFile() && !stats.isDirectory()) throw bad(`${file} is not a regular file`);
    return readJsonText(fd, file);
  } catch (error) {
    throw codeOf(error) === "EFBIG" ? bad(`${file} is longer than ${MOST_BYTES} bytes`) : error;
  } finally {
    closeSync(fd);
  }
}

/** Other bytes than UTF-8 would be other strings in the container than in the file. */
function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new KontenaError("CONFIG_SYNTAX", `${file} is not UTF-8, as JSON has to be`, { path: file });
  }
}

/** The text of a file that an option names, which may be a pipe. @throws FileError, EFBIG too; KontenaError CONFIG_SYNTAX */
export function readJsonText(file: string | number, name = String(file)): string {
  return readBounded(file, MOST_BYTES, (bytes) => decode(bytes, name));
}

/** Reads a bundle; nothing is changed. @throws KontenaError BUNDLE_INVALID */
export function readBundle(directory: string, configFile?: string): BundleText {
  let path: string;
  try {
    path = realpathSync(directory);
    if (!statSync(path).isDirectory())
      throw new KontenaError("BUNDLE_INVALID", `the bundle ${directory} is not a directory`, {
        path: directory,
      });
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    throw bundleError(`cannot open the bundle ${directory}`, directory, error);
  }
  const file = configFile ?? join(path, "config.json");
  try {
    return { path, file, text: readConfig(file, configFile === undefined) };
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const hint = "`kontena spec` writes a config.json to begin with";
    throw bundleError(`cannot read ${file}`, file, error, hint);
  }
}

/** The bundle of a config that has been checked. @throws KontenaError ROOT_FAILED */
export function withRoot({ path, text }: BundleText, config: Config): Bundle {
  const root = config.root?.path ?? "";
  const rootfs = isAbsolute(root) ? root : join(path, root);
  try {
    if (!statSync(rootfs).isDirectory())
      throw new KontenaError("ROOT_FAILED", `${rootfs} is not a directory`, {
        at: "root.path",
        path: rootfs,
      });
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = codeOf(error);
    const text = errno === "ENOENT" ? "no such file or directory" : errno;
    throw new KontenaError("ROOT_FAILED", `cannot open the root file system ${rootfs}: ${text}`, {
      at: "root.path",
      path: rootfs,
      errno,
    });
  }
  return { path, config, text, rootfs };
}

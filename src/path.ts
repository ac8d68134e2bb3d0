/**
 * node:path for POSIX, as far as it is used: the same names and answers (a test compares them). Loading node:path takes a third
 * of a millisecond, which is more than all that a command does with it.
 */

/** The parts of a path without `.`, and with each `..` taken back as far as there is something to take back. */
function partsOf(path: string, isAbsolute: boolean): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts[parts.length - 1] !== "..") parts.pop();
    else if (!isAbsolute) parts.push("..");
  }
  return parts;
}

export const isAbsolute = (path: string): boolean => path.startsWith("/");

/** Shortest form of a path, by its text alone; a slash at the end stays. */
export function normalize(path: string): string {
  if (path === "") return ".";
  const absolute = isAbsolute(path);
  const text = partsOf(path, absolute).join("/");
  const end = path.endsWith("/") ? "/" : "";
  if (absolute) return text === "" ? "/" : `/${text}${end}`;
  return text === "" ? `.${end}` : `${text}${end}`;
}

export function join(...paths: string[]): string {
  let joined = "";
  for (const path of paths) if (path !== "") joined = joined === "" ? path : `${joined}/${path}`;
  return normalize(joined);
}

/** An absolute path, without a slash at the end: from the last absolute one on, or from the working directory. */
export function resolve(...paths: string[]): string {
  let path = "";
  for (let i = paths.length - 1; i >= 0 && !isAbsolute(path); i--)
    if (paths[i] !== "") path = path === "" ? (paths[i] as string) : `${paths[i]}/${path}`;
  if (!isAbsolute(path)) path = `${process.cwd()}/${path}`;
  return `/${partsOf(path, true).join("/")}`;
}

/** The end of a path without slashes behind it. */
function withoutEnd(path: string): string {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end--;
  return path.slice(0, end);
}

export function dirname(path: string): string {
  const whole = withoutEnd(path);
  const at = whole.lastIndexOf("/");
  if (at < 0) return ".";
  if (at === 0) return "/";
  // Not to be mistaken for the one root: POSIX leaves open what two slashes at the beginning mean.
  return at === 1 && whole.startsWith("/") ? "//" : whole.slice(0, at);
}

export function basename(path: string): string {
  const whole = withoutEnd(path);
  return whole.slice(whole.lastIndexOf("/") + 1);
}

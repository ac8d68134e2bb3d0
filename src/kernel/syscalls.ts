/**
 * System call numbers by name, as in the kernel's own tables: x86-64 from arch/x86/entry/syscalls/syscall_64.tbl,
 * arm64 from include/uapi/asm-generic/unistd.h. A number from 424 on is the same on both.
 */

export type Arch = "x64" | "arm64";

/**
 * A line for each: name, number on x86-64, number on arm64. A text and not an object, since it costs nothing until it is looked
 * into: a hundred properties take a tenth of a millisecond of each command.
 */
const TABLE = `
read 0 63
write 1 64
openat 257 56
close 3 57
newfstatat 262 79
statx 332 291
fstatfs 138 44
mmap 9 222
munmap 11 215
mprotect 10 226
madvise 28 233
clock_gettime 228 113
epoll_create1 291 20
epoll_ctl 233 21
epoll_pwait 281 22
rt_sigaction 13 134
rt_sigprocmask 14 135
ioctl 16 29
dup3 292 24
fcntl 72 25
ftruncate 77 46
socketpair 53 199
socket 41 198
connect 42 203
bind 49 200
listen 50 201
accept4 288 242
sendmsg 46 211
recvmsg 47 212
shutdown 48 210
setsockopt 54 208
clone3 435 435
execve 59 221
execveat 322 281
exit_group 231 94
wait4 61 260
waitid 247 95
kill 62 129
tgkill 234 131
memfd_create 319 279
sethostname 170 161
setdomainname 171 162
mount 165 40
umount2 166 39
pivot_root 155 41
chroot 161 51
chdir 80 49
fchdir 81 50
getcwd 79 17
mkdirat 258 34
mknodat 259 33
symlinkat 266 36
unlinkat 263 35
linkat 265 37
readlinkat 267 78
fchownat 260 54
fchmodat 268 53
fchown 93 55
fchmod 91 52
faccessat2 439 439
openat2 437 437
fsopen 430 430
fsconfig 431 431
fsmount 432 432
fspick 433 433
open_tree 428 428
move_mount 429 429
mount_setattr 442 442
unshare 272 97
setns 308 268
setsid 112 157
setpgid 109 154
getpid 39 172
getppid 110 173
gettid 186 178
getpgid 121 155
getsid 124 156
prctl 157 167
capset 126 91
capget 125 90
setuid 105 146
setgid 106 144
setresuid 117 147
setresgid 119 149
setgroups 116 159
setfsuid 122 151
setfsgid 123 152
getuid 102 174
geteuid 107 175
umask 95 166
prlimit64 302 261
close_range 436 436
pidfd_open 434 434
pidfd_send_signal 424 424
pidfd_getfd 438 438
ppoll 271 73
pipe2 293 59
eventfd2 290 19
personality 135 92
sched_setattr 314 274
sched_getattr 315 275
sched_setaffinity 203 122
sched_getaffinity 204 123
ioprio_set 251 30
set_mempolicy 238 237
keyctl 250 219
add_key 248 217
seccomp 317 277
bpf 321 280
lseek 8 62
sync 162 81
fsync 74 82
nanosleep 35 101
pread64 17 67
pwrite64 18 68
flock 73 32
sendfile 40 71
copy_file_range 326 285
name_to_handle_at 303 264
statmount 457 457
listmount 458 458
uname 63 160
sysinfo 99 179
getrandom 318 278
getdents64 217 61
renameat2 316 276
utimensat 280 88
fsetxattr 190 7
fgetxattr 193 10
flistxattr 196 13
setpriority 141 140
process_vm_readv 310 270
` as const;

type NamesOf<Text extends string, Found = never> = Text extends `${infer Line}\n${infer Rest}`
  ? NamesOf<Rest, Line extends `${infer Name} ${number} ${number}` ? Found | Name : Found>
  : Found;

/** The name of a system call that plans may use. */
export type SyscallName = NamesOf<typeof TABLE>;

/** All of them. */
export function syscallNames(): SyscallName[] {
  return TABLE.trim()
    .split("\n")
    .map((line) => line.split(" ")[0] as SyscallName);
}

/** The architecture that this process runs on. */
export const ARCH: Arch = process.arch === "arm64" ? "arm64" : "x64";

const known = new Map<string, number>();

/** Number of the system call `name` on `arch`. */
export function syscallNumber(name: SyscallName, arch: Arch = ARCH): number {
  if (arch !== ARCH) return find(name, arch);
  let number = known.get(name);
  if (number === undefined) {
    number = find(name, arch);
    known.set(name, number);
  }
  return number;
}

function find(name: SyscallName, arch: Arch): number {
  const at = TABLE.indexOf(`\n${name} `);
  if (at < 0) throw new RangeError(`no system call "${name}"`);
  const [, x64, arm64] = TABLE.slice(at + 1, TABLE.indexOf("\n", at + 1)).split(" ");
  return Number(arch === "x64" ? x64 : arm64);
}

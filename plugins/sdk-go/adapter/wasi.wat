;; What Go's runtime imports (WASI 0.1, `wasi_snapshot_preview1`), in terms of WASI 0.2, for components made of Go modules.
;;
;; The usual adapter cannot be used, for two reasons:
;;
;; - It takes memory of its own, from `memory.grow` or from the plugin's `cabi_realloc`. Go believes that all memory behind its
;;   own is its own too, so it would overwrite the first; and it calls WASI before it can run any of its functions, so the second
;;   would end in a panic. This adapter needs no memory but a few bytes that Go never uses: the first 4,096 are its null
;;   pointers'.
;; - It asks the host for the time. While the host calls `cabi_realloc` a component must not call out, but any allocation may
;;   begin a garbage collection, which looks at the clock. Here time is virtual and needs no host: as without the grant
;;   `clock`, it begins at 2020-01-01T00:00:00Z and passes by one microsecond at each reading, and by all that is slept.
;;
;; `wasi.wasm` is made of this file and `wasi.wit` by `sluicegate-guest-builder adapter`.
(module
  (import "env" "memory" (memory 0))
  (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
  (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:cli/stderr@0.2.3" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
  (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
    (func $blocking-write-and-flush (param $stream i32) (param $from i32) (param $length i32) (param $answer i32)))
  (import "wasi:io/streams@0.2.3" "[resource-drop]output-stream" (func $drop-stream (param i32)))

  ;; The answer of WASI 0.2 that is larger than a number is put here, and read at once.
  (global $scratch i32 (i32.const 16))

  ;; Nanoseconds since the start.
  (global $time (mut i64) (i64.const 0))
  ;; The start, in nanoseconds since 1970-01-01 UTC.
  (global $start i64 (i64.const 1577836800000000000))

  ;; No arguments, no environment.
  (func (export "args_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    i32.const 0)
  (func (export "args_get") (param i32 i32) (result i32) i32.const 0)
  (func (export "environ_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    i32.const 0)
  (func (export "environ_get") (param i32 i32) (result i32) i32.const 0)

  ;; Clocks: 0 is the wall's, 1 the monotonic one.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $to i32) (result i32)
    (if (i32.gt_u (local.get $clock) (i32.const 1)) (then (return (i32.const 28)))) ;; inval
    (global.set $time (i64.add (global.get $time) (i64.const 1000)))
    (i64.store (local.get $to)
      (i64.add (global.get $time) (select (i64.const 0) (global.get $start) (local.get $clock))))
    i32.const 0)
  (func (export "clock_res_get") (param $clock i32) (param $resolution i32) (result i32)
    (i64.store (local.get $resolution) (i64.const 1000))
    i32.const 0)

  ;; Eight bytes at a time; the last ones singly, from the lowest.
  (func (export "random_get") (param $to i32) (param $length i32) (result i32)
    (local $rest i64)
    (loop $eight
      (if (i32.ge_u (local.get $length) (i32.const 8))
        (then
          (i64.store align=1 (local.get $to) (call $random))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (local.set $length (i32.sub (local.get $length) (i32.const 8)))
          (br $eight))))
    (if (local.get $length) (then (local.set $rest (call $random))))
    (loop $one
      (if (local.get $length)
        (then
          (i64.store8 (local.get $to) (local.get $rest))
          (local.set $rest (i64.shr_u (local.get $rest) (i64.const 8)))
          (local.set $to (i32.add (local.get $to) (i32.const 1)))
          (local.set $length (i32.sub (local.get $length) (i32.const 1)))
          (br $one))))
    i32.const 0)

  ;; Standard output and standard error, at most 4,096 bytes at a time.
  (func (export "fd_write") (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $stream i32) (local $from i32) (local $left i32) (local $now i32) (local $total i32)
    (if (i32.eq (local.get $fd) (i32.const 1))
      (then (local.set $stream (call $get-stdout)))
      (else
        (if (i32.ne (local.get $fd) (i32.const 2)) (then (return (i32.const 8)))) ;; badf
        (local.set $stream (call $get-stderr))))
    (loop $part
      (if (local.get $count)
        (then
          (local.set $from (i32.load (local.get $parts)))
          (local.set $left (i32.load offset=4 (local.get $parts)))
          (loop $piece
            (if (local.get $left)
              (then
                (local.set $now
                  (select (local.get $left) (i32.const 4096) (i32.lt_u (local.get $left) (i32.const 4096))))
                (call $blocking-write-and-flush (local.get $stream) (local.get $from) (local.get $now) (global.get $scratch))
                (if (i32.load8_u (global.get $scratch))
                  (then
                    (call $drop-stream (local.get $stream))
                    (return (i32.const 29)))) ;; io
                (local.set $from (i32.add (local.get $from) (local.get $now)))
                (local.set $left (i32.sub (local.get $left) (local.get $now)))
                (local.set $total (i32.add (local.get $total) (local.get $now)))
                (br $piece))))
          (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $part))))
    (call $drop-stream (local.get $stream))
    (i32.store (local.get $written) (local.get $total))
    i32.const 0)

  ;; Standard input is at its end.
  (func (export "fd_read") (param $fd i32) (param $parts i32) (param $count i32) (param $read i32) (result i32)
    (if (local.get $fd) (then (return (i32.const 8)))) ;; badf
    (i32.store (local.get $read) (i32.const 0))
    i32.const 0)

  ;; The three standard ones look like a terminal's: character devices.
  (func (export "fd_fdstat_get") (param $fd i32) (param $to i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8)))) ;; badf
    (i64.store (local.get $to) (i64.const 2))
    (i64.store offset=8 (local.get $to) (i64.const 0))
    (i64.store offset=16 (local.get $to) (i64.const 0))
    i32.const 0)

  ;; Sleeps by the first clock that is waited for, without waiting. Nothing else ever happens: who waits for nothing else waits
  ;; in vain. A subscription has 48 bytes (its user's data, the kind at 8, of a clock which one at 16, the time at 24 and whether
  ;; that is a point in time at 40), an event 32.
  (func (export "poll_oneoff") (param $subscriptions i32) (param $events i32) (param $count i32) (param $happened i32) (result i32)
    (local $until i64)
    (loop $next
      (if (i32.eqz (local.get $count)) (then (return (i32.const 58)))) ;; notsup
      (if (i32.load8_u offset=8 (local.get $subscriptions))
        (then
          (local.set $subscriptions (i32.add (local.get $subscriptions) (i32.const 48)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $next))))
    (local.set $until (i64.load offset=24 (local.get $subscriptions)))
    (if (i32.and (i32.load16_u offset=40 (local.get $subscriptions)) (i32.const 1))
      (then
        (if (i32.eqz (i32.load offset=16 (local.get $subscriptions)))
          (then (local.set $until (i64.sub (local.get $until) (global.get $start))))))
      (else (local.set $until (i64.add (global.get $time) (local.get $until)))))
    (if (i64.gt_s (local.get $until) (global.get $time)) (then (global.set $time (local.get $until))))
    (i64.store (local.get $events) (i64.load (local.get $subscriptions)))
    (i64.store offset=8 (local.get $events) (i64.const 0))
    (i64.store offset=16 (local.get $events) (i64.const 0))
    (i64.store offset=24 (local.get $events) (i64.const 0))
    (i32.store (local.get $happened) (i32.const 1))
    i32.const 0)

  (func (export "sched_yield") (result i32) i32.const 0)
  (func (export "proc_raise") (param i32) (result i32) i32.const 58) ;; notsup
  (func (export "proc_exit") (param $code i32)
    (call $exit (i32.ne (local.get $code) (i32.const 0)))
    unreachable)

  ;; There are no files, no folders and no sockets: nothing that is named by a descriptor is open (badf).
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) i32.const 8)
  (func (export "fd_close") (param i32) (result i32) i32.const 8)
  (func (export "fd_datasync") (param i32) (result i32) i32.const 8)
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) i32.const 8)
  (func (export "fd_filestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) i32.const 8)
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_renumber") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) i32.const 8)
  (func (export "fd_sync") (param i32) (result i32) i32.const 8)
  (func (export "fd_tell") (param i32 i32) (result i32) i32.const 8)
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) i32.const 8)
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "sock_accept") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "sock_shutdown") (param i32 i32) (result i32) i32.const 8))

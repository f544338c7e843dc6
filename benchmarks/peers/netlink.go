// netlink.go - github.com/vishvananda/netlink: RouteSubscribe, and count.
//
// Prints "ready", then one JSON object once --count updates came, or two
// seconds after standard input said that the flood is over, or when the
// library ended the subscription.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func monotonic() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}

func cpu() (float64, float64) {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()) / 1e9, float64(usage.Stime.Nano()) / 1e9
}

// endWhenOver closes done once nothing comes any more.
func endWhenOver(seen *uint64, done chan struct{}) {
	bufio.NewReader(os.Stdin).ReadString('\n')
	for before := ^uint64(0); before != atomic.LoadUint64(seen); {
		before = atomic.LoadUint64(seen)
		time.Sleep(2 * time.Second)
	}
	close(done)
}

func main() {
	count := flag.Uint64("count", 1, "updates to wait for")
	path := flag.String("stamps", "", "file for the time of each")
	flag.Parse()

	updates := make(chan netlink.RouteUpdate, 1024)
	done := make(chan struct{})
	var seen uint64
	var why string
	var stamps []int64
	err := netlink.RouteSubscribeWithOptions(updates, done,
		netlink.RouteSubscribeOptions{
			ErrorCallback: func(err error) { why = err.Error() }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	user, system := cpu()
	go endWhenOver(&seen, done)
	var first, last int64
	for range updates {
		last = monotonic()
		if first == 0 {
			first = last
		}
		if *path != "" {
			stamps = append(stamps, last)
		}
		if atomic.AddUint64(&seen, 1) == *count {
			break
		}
	}
	userAfter, systemAfter := cpu()
	fmt.Printf("{\"messages\": %d, \"error\": %q, \"seconds\": %f, "+
		"\"cpu_user\": %f, \"cpu_system\": %f}\n", seen, why,
		float64(last-first)/1e9, userAfter-user, systemAfter-system)
	if *path != "" {
		file, _ := os.Create(*path)
		binary.Write(file, binary.LittleEndian, stamps)
		file.Close()
	}
}

// peer_etcd.go - etcd's wal behind one goroutine that gathers what all callers wait for, as etcd's raft loop does.
//
// Callers are goroutines: far cheaper to put to sleep and to wake than threads, which is in its favour. One Save (entries and
// the hard state) and one fdatasync a group; segments of 64 MiB, allocated and not written.
// usage: peer_etcd DIRECTORY [CALLERS [SIZE [SECONDS]]]; the output is that of load.h.
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/raft/raftpb"
	"go.etcd.io/etcd/wal"
	"go.uber.org/zap"
)

type request struct {
	bytes []byte
	done  chan struct{}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer_etcd:", err)
		os.Exit(1)
	}
}

func number(at int, otherwise float64) float64 {
	if len(os.Args) <= at {
		return otherwise
	}
	value, err := strconv.ParseFloat(os.Args[at], 64)
	check(err)
	return value
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

// Gather what waits, save it as one group, tell all of them.
func serve(log *wal.WAL, queue chan *request) {
	var index uint64
	for first := range queue {
		group := []*request{first}
		for more := true; more; {
			select {
			case next := <-queue:
				group = append(group, next)
			default:
				more = false
			}
		}
		entries := make([]raftpb.Entry, len(group))
		for i, one := range group {
			index++
			entries[i] = raftpb.Entry{Term: 1, Index: index, Data: one.bytes}
		}
		check(log.Save(raftpb.HardState{Term: 1, Vote: 1, Commit: index}, entries))
		for _, one := range group {
			one.done <- struct{}{}
		}
	}
}

func percentile(sorted []int64, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(percent / 100 * float64(len(sorted)))
	if at >= len(sorted) {
		at = len(sorted) - 1
	}
	return float64(sorted[at]) / 1e3
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peer_etcd DIRECTORY [CALLERS [SIZE [SECONDS]]]")
		os.Exit(2)
	}
	callers, size, seconds := int(number(2, 1)), int(number(3, 128)), number(4, 2)
	log, err := wal.Create(zap.NewNop(), os.Args[1]+"/etcd", nil)
	check(err)
	queue := make(chan *request, callers)
	go serve(log, queue)
	var phase int32 // 0 warming, 1 measuring, 2 stopped
	var group sync.WaitGroup
	samples := make([][]int64, callers)
	for caller := 0; caller < callers; caller++ {
		group.Add(1)
		go func(caller int) {
			defer group.Done()
			one := &request{bytes: make([]byte, size), done: make(chan struct{}, 1)}
			for i := range one.bytes {
				one.bytes[i] = byte(i*131 + caller*17)
			}
			for {
				now := atomic.LoadInt32(&phase)
				if now == 2 {
					return
				}
				start := time.Now()
				queue <- one
				<-one.done
				if now == 1 {
					samples[caller] = append(samples[caller], int64(time.Since(start)))
				}
			}
		}(caller)
	}
	time.Sleep(300 * time.Millisecond)
	cpu := cpuSeconds()
	atomic.StoreInt32(&phase, 1)
	start := time.Now()
	time.Sleep(time.Duration(seconds * 1e9))
	atomic.StoreInt32(&phase, 2)
	elapsed := time.Since(start).Seconds()
	cpu = cpuSeconds() - cpu
	group.Wait()
	var all []int64
	for _, one := range samples {
		all = append(all, one...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	fmt.Printf("{\"what\":\"etcd\",\"threads\":%d,\"size\":%d,\"ops\":%d,\"ops_s\":%.0f,\"cpu_us_per_op\":%.3f,"+
		"\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n", callers, size, len(all),
		float64(len(all))/elapsed, cpu/float64(len(all)+1)*1e6, percentile(all, 50), percentile(all, 99),
		percentile(all, 99.9), percentile(all, 100))
}

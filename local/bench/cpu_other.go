//go:build !linux

package main

import (
	"errors"
	"os"
	"time"
)

var errLinux = errors.New("the bench needs Linux")

func cpuTime(*os.Process) (time.Duration, error) { return 0, errLinux }

type quota string

func newQuota(int) (quota, error)     { return "", errLinux }
func (quota) limit(*os.Process) error { return errLinux }
func (quota) close()                  {}

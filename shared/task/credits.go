package task

import (
	"math"
	"strconv"
)

// Credits returns a number of credits as people read it, such as "1000000" or "4.5":
// never with an exponent, and without the rounding errors of sums.
func Credits(n float64) string {
	const parts = 1e6                                                    // of a credit are shown
	return strconv.FormatFloat(math.Round(n*parts)/parts+0, 'f', -1, 64) // +0: there is no -0
}

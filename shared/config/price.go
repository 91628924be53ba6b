package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// defaultPrices are the prices that public code reports. PRICES overrides them one by one.
const defaultPrices = "nano-banana=4," +
	"nano-banana-2/1K=8,nano-banana-2/2K=12,nano-banana-2/4K=18," +
	"nano-banana-pro/1K=18,nano-banana-pro/2K=18,nano-banana-pro/4K=24"

// Prices are what one image costs in the provider's credits, by "model" or
// "model/resolution".
type Prices map[string]float64

// Credits estimates what n images cost. A resolution without its own price costs the
// model's price or, without that, the model's highest, so that the estimate is not
// too low. An unknown model costs 0.
func (p Prices) Credits(model, resolution string, n int) float64 {
	each, ok := p[model+"/"+resolution]
	if !ok {
		each, ok = p[model]
	}
	if !ok {
		for name, price := range p {
			if strings.HasPrefix(name, model+"/") {
				each = max(each, price)
			}
		}
	}
	return each * float64(n)
}

// prices reads a comma list of model=credits or model/resolution=credits over the defaults.
func (r *reader) prices(name string) Prices {
	p := Prices{}
	for entry := range strings.SplitSeq(defaultPrices, ",") {
		p.add(entry)
	}
	for i, entry := range r.list(name, "") {
		if !p.add(entry) {
			r.fault(name, fmt.Sprintf("entry %d is not a price: write it like nano-banana=4 or nano-banana-2/1K=8", i+1))
		}
	}
	return p
}

func (p Prices) add(entry string) bool {
	name, text, _ := strings.Cut(entry, "=")
	credits, err := strconv.ParseFloat(text, 64)
	model, resolution, sized := strings.Cut(name, "/")
	if err != nil || math.IsNaN(credits) || credits < 0 || credits > 1e6 ||
		model == "" || sized && resolution == "" || !visible(name) || strings.Contains(resolution, "/") {
		return false
	}
	p[name] = credits
	return true
}

// Cheapest returns the price of the cheapest picture, or 0 without any price.
func (p Prices) Cheapest() float64 {
	least := -1.0
	for _, price := range p {
		if least < 0 || price < least {
			least = price
		}
	}
	return max(least, 0)
}

package routing

// Homes returns how many ports x knows the network of.
func Homes(x *Index) int { return x.homes.Len() }

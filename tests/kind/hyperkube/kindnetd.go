package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"reflect"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const cniConfiguration = "/etc/cni/net.d/10-kindnet.conflist"

// kindnetd is the part of kind's daemon of that name that a pod network needs: this node's CNI configuration, and the routes to the other
// nodes' pods. Kind's own cannot be had from a module proxy. Not here: network policies, masquerading, a cache for name look-ups.
func kindnetd() {
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	// Kind sets it, since kube-proxy, which the Service's address needs, may start later than we do.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	me := os.Getenv("NODE_NAME")
	var configured []string
	for ; ; time.Sleep(time.Second) {
		nodes, err := client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			log.Print(err)
			continue
		}
		for _, node := range nodes.Items {
			cidrs := node.Spec.PodCIDRs
			if node.Name != me {
				routeTo(node)
			} else if len(cidrs) > 0 && !reflect.DeepEqual(configured, cidrs) {
				if err := configure(cidrs); err != nil {
					log.Fatal(err)
				}
				configured = cidrs
				log.Print("pods: ", cidrs)
			}
		}
	}
}

// configure writes the CNI configuration by which this node's pods get addresses of cidrs. The kubelet sees it whole or not at all.
func configure(cidrs []string) error {
	type object = map[string]any
	var ranges, routes []any
	for _, cidr := range cidrs {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		ranges = append(ranges, []object{{"subnet": cidr}})
		if network.IP.To4() != nil {
			routes = append(routes, object{"dst": "0.0.0.0/0"})
		} else {
			routes = append(routes, object{"dst": "::/0"})
		}
	}
	ipam := object{"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": routes, "ranges": ranges}
	text, err := json.Marshal(object{"cniVersion": "0.3.1", "name": "kindnet", "plugins": []object{
		{"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": ipam},
		{"type": "portmap", "capabilities": object{"portMappings": true}},
	}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(cniConfiguration+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(cniConfiguration+".new", cniConfiguration)
}

// routeTo sends what is for node's pods to node, by its address of the same family.
func routeTo(node corev1.Node) {
	for _, cidr := range node.Spec.PodCIDRs {
		_, pods, err := net.ParseCIDR(cidr)
		if err != nil {
			log.Printf("pods of %s: %v", node.Name, err)
			continue
		}
		for _, address := range node.Status.Addresses {
			gateway := net.ParseIP(address.Address)
			if address.Type != corev1.NodeInternalIP || gateway == nil || (gateway.To4() == nil) != (pods.IP.To4() == nil) {
				continue
			}
			if err := netlink.RouteReplace(&netlink.Route{Dst: pods, Gw: gateway}); err != nil {
				log.Printf("route to %v by %v: %v", pods, gateway, err)
			}
		}
	}
}

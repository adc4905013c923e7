from shop import refund, ship

ship.send("Order:7")
refund.send("Order:8")
